"""Where a lead leaves zero for good, from a smooth of it and the band of its uncertainty.

The challenger's lead over the baseline is known at P points along training, each with noise, and
as a whole it varies with the seeds and with the held-out documents (see `crossed`). The last point
at which a noisy lead is negative lies late, and later the more points there are. Here the lead is
smoothed in log x, and each place is asked whether the lead there may be zero (as Fieller 1954 for
the root of a line): the interval of the crossover runs from the last place where the band lies
wholly below zero to the first from which on it lies wholly above.

The band is pointwise: at the crossover itself, the one place that counts, it holds zero in 95 % of
all cases, and so do the intervals of simulated studies (`benchmarks/interval_coverage.py`); those
of a simultaneous band are wider than they need to be. Its variance is that of the smooth, through
the smooth's linear operator, plus what the smooth may have flattened: the spline's covariance as a
Bayesian estimate (Wahba 1983) beyond that of its noise.

The seeds' mean lead is used, whatever its seeds do on their own: none is left out because it
crosses before the first point or beyond the last.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.interpolate import CubicSpline

from workbench.analysis.crossed import CrossedMean, Over, Part
from workbench.analysis.crossed_interval import known_over, method_text, missing_note
from workbench.analysis.curves import Floats
from workbench.analysis.intervals import smooth_curve
from workbench.errors import InputError

Status = Literal["crossed", "not_reached", "ahead_throughout", "undecided"]
_PLACES = 1_000  # where the band is looked at, at least: 0.6 % apart over a factor of 400


@dataclass(frozen=True)
class Band:
    """A lead along x and its 95 % band, for figures: all (places,)."""

    x: Floats
    lead: Floats
    low: Floats
    high: Floats
    dof: Floats
    over: Over | None
    """What the band runs over. None where no spread is known: then it has no width."""


@dataclass(frozen=True)
class BandCrossing:
    """Where the lead leaves zero for good.

    status is "crossed"; "not_reached", where the band lies below zero at the end; "undecided",
    where it holds zero there; or "ahead_throughout", where the lead is above zero at every point,
    or at every point but the first: between the first and the second point nothing is known of
    its course.
    """

    status: Status
    crossover: float | None
    """None unless crossed. It lies inside `ci95`."""
    zero: float | None
    """Where the lead itself leaves zero for good, whatever the band says of it; None where it does
    not within what was measured."""
    lower_bound: float | None
    """The last place compared where not reached; where undecided, the last at which the band lies
    below zero, if any."""
    upper_bound: float | None
    """Where ahead throughout, the first point from which on."""
    ci95: list[float | None] | None
    """A limit is None where it lies outside the measured range."""
    ci95_method: str | None
    ci95_note: str | None
    first_x: float
    last_x: float
    band: Band


def crossing_along_training(
    x: Floats, lead: CrossedMean, over: Over = "seeds+documents"
) -> BandCrossing:
    """Where the challenger gets ahead for good.

    Args:
        x: the points' places, such as tokens: above zero, increasing.
        lead: the baseline's values minus the challenger's at these points, or the reverse for
            metrics of which more is better.
        over: an interval takes two seeds or more: over documents alone it is far too narrow
            (see `benchmarks/interval_coverage.py`), so there is none.

    Returns:
        The lead is smoothed from 8 points on; with fewer it is taken for lines in log x.

    Raises:
        InputError: fewer than two places, or places that are not above zero and increasing.
    """
    found = _crossing(x, lead, over, smooth=True)
    second = float(x[1])
    low, high = found.ci95 or (None, None)
    in_first_gap = found.crossover is not None and found.crossover < second
    if in_first_gap:
        found = replace(found, status="ahead_throughout", crossover=None, upper_bound=second)
    if found.ci95 is None:
        return found
    # Inside the first gap the smooth is a guess: limits there move to the gap's ends.
    if low is not None and low < second:
        low = found.first_x
    if high is not None and high < second:
        high = second
    lower = low if found.status == "undecided" else found.lower_bound
    return replace(found, ci95=[low, high], lower_bound=lower)


def crossing_between_budgets(
    budgets: Floats, lead: CrossedMean, over: Over = "seeds+documents"
) -> BandCrossing:
    """The budget from which on a baseline is as good as a given value: effective data.

    Args:
        budgets: unique tokens, above zero, increasing.
        lead: the value to reach minus the baseline's value at each budget, or the reverse for
            metrics of which more is better.
        over: "documents" gives an interval with one seed too, which does not hold what another
            seed would change; with one seed and another `over` there is none.

    Returns:
        Between budgets the lead is a line in log unique tokens. "not_reached": more unique tokens
        than the largest budget; "ahead_throughout": fewer than the smallest one.
    """
    return _crossing(budgets, lead, over, smooth=False)


def lead_band(x: Floats, lead: CrossedMean, over: Over, *, smooth: bool) -> Band:
    """The band over `over`, or over what of it is known."""
    places, operator, flattened = _smoother(x, lead.value, smooth)
    through = lead.through(operator)
    known = known_over(lead, over)
    if known is None:
        none = np.full(len(places), np.inf)
        return Band(places, through.value, through.value, through.value, none, None)
    if flattened is not None:
        through = replace(through, parts=(*through.parts, flattened))
    half, dof = through.half_width(known)
    return Band(places, through.value, through.value - half, through.value + half, dof, known)


def _smoother(x: Floats, y: Floats, smooth: bool) -> tuple[Floats, Floats, Part | None]:
    """Places, the operator (places, points) that gives the lead there, and the covariance of
    what it flattens."""
    t = np.log(x)
    per_gap = -(-_PLACES // (len(x) - 1))
    gap = np.repeat(np.arange(len(x) - 1), per_gap)
    share = np.tile(np.arange(per_gap) / per_gap, len(x) - 1)
    gap, share = np.append(gap, len(x) - 2), np.append(share, 1.0)
    grid = (1 - share) * t[gap] + share * t[gap + 1]
    places = np.exp(grid)
    places[share == 0], places[-1] = x[:-1], x[-1]  # exp(log) rounds
    every = np.eye(len(x))
    fit = smooth_curve(x, y) if smooth else None
    if fit is None:
        return places, (1 - share)[:, None] * every[gap] + share[:, None] * every[gap + 1], None
    hat = fit.refit(every).T
    between = CubicSpline(t, every, bc_type="natural")(grid)
    left = float(np.sum((y - fit.fitted) ** 2)) / (len(x) - fit.df)
    flattened = Part("smoothing", left * (hat - hat @ hat.T), len(x) - fit.df, between)
    return places, between @ hat, flattened


def _crossing(x: Floats, lead: CrossedMean, over: Over, *, smooth: bool) -> BandCrossing:
    _check(x, lead)
    band = lead_band(x, lead, over, smooth=smooth)
    below, above = band.high < 0, band.low > 0
    first_x, last_x = float(x[0]), float(x[-1])
    low = float(band.x[np.flatnonzero(below)[-1]]) if below.any() else None
    not_above = np.flatnonzero(~above)
    high = float(band.x[not_above[-1] + 1]) if len(not_above) and above[-1] else None
    crossover = _last_zero(band.x, band.lead)
    answer = BandCrossing(
        status="undecided",
        crossover=None,
        zero=crossover,
        lower_bound=low,
        upper_bound=None,
        ci95=None,
        ci95_method=None,
        ci95_note=None,
        first_x=first_x,
        last_x=last_x,
        band=band,
    )
    if below[-1]:
        answer = replace(answer, status="not_reached", lower_bound=last_x)
    elif above[-1] and crossover is None:
        answer = replace(answer, status="ahead_throughout", lower_bound=None, upper_bound=first_x)
    elif above[-1]:
        answer = replace(answer, status="crossed", lower_bound=None, crossover=crossover)
    why = _why_no_interval(band, over, smooth)
    if why is not None:
        bound = last_x if answer.status == "not_reached" else None
        return replace(answer, lower_bound=bound, ci95_note=why)
    return _with_interval(answer, lead, over, [low, high])


def _why_no_interval(band: Band, over: Over, smooth: bool) -> str | None:
    if band.over == "documents" and smooth:
        # In simulation it holds a seed's own crossover in 0.70 to 0.94 of all cases, since it
        # leaves out the scatter along training, and that of all seeds in 0.32 to 0.66.
        few = "one seed" if over != "documents" else "documents alone"
        return f"{few}: an interval would not hold what differs between seeds"
    if band.over is None and over == "documents":
        return "no values of single documents"
    if band.over is None or (band.over == "documents" and over != "documents"):
        return "one seed: an interval would not hold what differs between seeds"
    return None


def _with_interval(
    answer: BandCrossing, lead: CrossedMean, over: Over, limits: list[float | None]
) -> BandCrossing:
    band = answer.band
    assert band.over is not None
    known = band.over
    at = len(band.x) - 1 if answer.crossover is None else np.searchsorted(band.x, answer.crossover)
    notes = [missing_note(lead, over, known)]
    if answer.status == "undecided":
        notes.append("the band holds zero at the last point")
    elif answer.status == "not_reached" or limits == [None, None]:
        return replace(answer, ci95_note=notes[0])
    return replace(
        answer,
        ci95=limits,
        ci95_method=f"band, {method_text(lead, known, float(band.dof[at]))}",
        ci95_note="; ".join(note for note in notes if note) or None,
    )


def _check(x: Floats, lead: CrossedMean) -> None:
    if len(x) < 2 or len(x) != len(lead.value):
        raise InputError(
            f"{len(x)} places for {len(lead.value)} values of a lead: a crossover needs two or "
            "more places, each with a value."
        )
    if not (np.all(x > 0) and np.all(np.diff(x) > 0)):
        raise InputError("places that are not above zero and increasing have no crossover in log.")


def _last_zero(x: Floats, lead: Floats) -> float | None:
    """Where the lead gets above zero for the last time; None if it always is, or is not at the
    end."""
    behind = np.flatnonzero(lead <= 0)
    if not len(behind) or lead[-1] <= 0:
        return None
    at = int(behind[-1])
    share = lead[at] / (lead[at] - lead[at + 1])
    return float(x[at] * (x[at + 1] / x[at]) ** share)
