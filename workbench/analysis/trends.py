"""How crossovers move with unique tokens, model size or data quality, bounds included.

A group whose curves have not crossed still gives a bound: its crossover lies beyond the last
place compared. Leaving it out would bend the trend towards early crossovers, so it enters the
likelihood as a censored value (Tobin 1958). So does one that is undecided, beyond the last place at
which the challenger is surely behind; without such a place nothing is known of it, and it is left
out.
"""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from workbench.analysis.censored import Fit, fit_censored
from workbench.analysis.curves import Floats
from workbench.analysis.run_keys import following_keys, identity, keys_called
from workbench.errors import InputError
from workbench.messages import suggestion

CENSORED = {"crossed": 0, "not_reached": 1, "undecided": 1, "ahead_throughout": -1}
"""How a status enters the likelihood: exactly, as a lower bound, as an upper bound."""
_TIERS = ("low", "medium-low", "medium", "medium-high", "high")
"""The quality tiers of arXiv 2511.03276, Figure 4, in their order."""


@dataclass(frozen=True)
class PowerLawTrend:
    """log y = log scale + exponent log x + sigma eps, with normal eps."""

    exponent: float | None
    scale: float | None
    sigma: float | None
    """Scatter of log y, over n - 2 degrees of freedom; None where they are used up."""
    exponent_ci95: list[float | None] | None
    """A limit is None where the data do not bound it."""
    n_crossed: int
    n_censored: int
    note: str | None
    fit: Fit | None = None

    def predict(self, x: float) -> tuple[float | None, list[float] | None]:
        """The place expected at x, and the 95 % prediction interval of one more crossover."""
        if self.exponent is None or self.scale is None:
            return None, None
        place = self.scale * x**self.exponent
        if self.fit is None or self.n_crossed < 3:
            return float(place), None
        half = self.fit.prediction_half_width(float(np.log(x)))
        return float(place), [float(place * np.exp(-half)), float(place * np.exp(half))]


def power_law_trend(x: Floats, y: Floats, status: list[str]) -> PowerLawTrend:
    """Fit a power law by maximum likelihood, with bounds as bounds.

    Args:
        x: above zero.
        y: the crossover where status is "crossed"; the last place compared, a lower bound, where
            it is "not_reached"; the last one at which the challenger is surely behind, a lower
            bound too, where it is "undecided"; the first one, an upper bound, where it is
            "ahead_throughout".
        status: one for each point.

    Returns:
        The interval is the profile likelihood's at n log(1 + t^2 / (n - 2)), t the 97.5 % point
        of Student's t with n - 2 degrees of freedom and n the crossed points: where none is
        censored, that is the exact t interval of least squares. There is no interval with fewer
        than 3 crossed points, and no exponent with fewer than 2.

    Raises:
        ValueError: an x or y that is not above zero, or an unknown status.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    unknown = set(status) - set(CENSORED)
    if unknown or not (np.all(x > 0) and np.all(y > 0)):
        raise ValueError(
            f"a power law needs places above zero and statuses of {', '.join(CENSORED)}; got "
            f"{sorted(unknown) or 'a place that is not above zero'}"
        )
    side = np.array([CENSORED[name] for name in status], dtype=int)
    crossed = int((side == 0).sum())
    censored = len(side) - crossed
    if crossed < 2:
        return PowerLawTrend(None, None, None, None, crossed, censored, "not enough crossed")
    if len(np.unique(x[side == 0])) < 2:
        why = "all crossed groups have the same place on this scale"
        return PowerLawTrend(None, None, None, None, crossed, censored, why)
    fit = fit_censored(np.log(x), np.log(y), side)
    interval = fit.slope_interval() if crossed >= 3 else None
    note = None if crossed >= 3 else "2 crossed groups: an exponent without an interval"
    return PowerLawTrend(
        exponent=fit.slope,
        scale=float(np.exp(fit.intercept)),
        sigma=fit.scatter,
        exponent_ci95=interval,
        n_crossed=crossed,
        n_censored=censored,
        note=note,
        fit=fit,
    )


def crossover_trends(rows: list[dict[str, Any]], against: str) -> list[dict[str, Any]]:
    """How crossovers move along one of their groups' keys (arXiv 2511.03276, Figures 2 to 4).

    Args:
        rows: what `crossovers` returned, of any number of metrics and axes.
        against: "unique_tokens", "n_params", "quality", or any other key of the groups; the last
            part of a dotted key is enough.

    Returns:
        One row a study, metric, axis and group of equal other keys. Numbers get a power law;
        names, such as tiers of quality, get "levels": the crossover of each and its ratio to
        the first one's.

    Raises:
        InputError: no group has such a key.
    """
    return trends(rows, against, ("study", "metric", "axis", "definition"))


def trends(
    rows: list[dict[str, Any]],
    against: str,
    family_keys: tuple[str, ...],
    *,
    what: str = "crossovers",
) -> list[dict[str, Any]]:
    """The trends of rows with "group", "status", "crossover", "lower_bound", "upper_bound".

    Args:
        family_keys: keys of the rows. Rows that differ in one of them get separate trends, and
            the answer repeats their values.
        what: what moves, in "ci95_method".
    """
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault(identity({key: row.get(key) for key in family_keys}), []).append(row)
    answers = []
    for family in families.values():
        key = _resolved(against, family)
        followers = following_keys([row["group"] for row in family], key)
        groups: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        for row in family:
            group = {k: v for k, v in row["group"].items() if k != key and k not in followers}
            groups.setdefault(identity(group), (group, []))[1].append(row)
        head = {name: family[0].get(name) for name in family_keys}
        answers += [
            _with_followers(
                {**head, "against": key, "group": group, **_trend(members, key, what)}, followers
            )
            for group, members in groups.values()
        ]
    return answers


def _resolved(against: str, rows: list[dict[str, Any]]) -> str:
    keys = sorted({key for row in rows for key in row["group"]})
    matching = keys_called(against, keys)
    if not matching:
        raise InputError(
            f"groups do not differ in {against}{suggestion(against, keys) or '.'} "
            f"They have: {', '.join(keys)}."
        )
    return matching[0]


def _trend(rows: list[dict[str, Any]], key: str, what: str) -> dict[str, Any]:
    values = [row["group"].get(key) for row in rows]
    if all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in values):
        return _power_law(rows, [float(value) for value in values], what)
    return _levels(rows, values)


def place_of(row: dict[str, Any]) -> float | None:
    """The crossover, or else the bound that is known of it; None where it is undecided without."""
    known = (row["crossover"], row["lower_bound"], row["upper_bound"])
    return next((float(value) for value in known if value is not None), None)


def _power_law(rows: list[dict[str, Any]], values: list[float], what: str) -> dict[str, Any]:
    places = [place_of(row) for row in rows]
    usable = [(row, x, place) for row, x, place in zip(rows, values, places, strict=True) if place]
    trend = power_law_trend(
        np.array([x for _, x, _ in usable]),
        np.array([place for _, _, place in usable]),
        [row["status"] for row, _, _ in usable],
    )
    at_zero = sum(place == 0 for place in places)
    notes = [
        trend.note,
        f"{at_zero} at zero left out" if at_zero else None,
        _undecided_note(places),
    ]
    return {
        "n_crossed": trend.n_crossed,
        "n_censored": trend.n_censored,
        "exponent": trend.exponent,
        "ci95": trend.exponent_ci95,
        "ci95_method": _method(trend, what),
        "scale": trend.scale,
        "sigma": trend.sigma,
        "direction": direction(trend.exponent_ci95),
        "note": "; ".join(note for note in notes if note) or None,
    }


def _method(trend: PowerLawTrend, what: str) -> str | None:
    """What the exponent's interval runs over: the scatter of places around the power law, each of
    which is taken as it is, whatever its own interval."""
    if trend.exponent_ci95 is None:
        return None
    n, bounds = trend.n_crossed, trend.n_censored
    kind = "profile likelihood" if bounds else "t interval"
    and_bounds = f" and {bounds} bound{'s' * (bounds > 1)}" if bounds else ""
    degrees = f"{n - 2} degree{'s' * (n > 3)} of freedom"
    return f"{kind} of the exponent over {n} {what}{and_bounds}, {degrees}"


def _undecided_note(places: list[float | None]) -> str | None:
    unknown = sum(place is None for place in places)
    return f"{unknown} undecided without a bound left out" if unknown else None


def direction(interval: list[float | None] | None) -> str:
    """ "later" for an exponent's interval above 0, "earlier" below, "undetermined" around it."""
    if interval is None:
        return "undetermined"
    low, high = interval
    if low is not None and low > 0:
        return "later"
    return "earlier" if high is not None and high < 0 else "undetermined"


def _levels(rows: list[dict[str, Any]], values: list[Any]) -> dict[str, Any]:
    ordered = sorted(zip(rows, values, strict=True), key=lambda pair: _tier(pair[1]))
    first = ordered[0][0]
    levels = [
        {
            "level": value,
            "status": row["status"],
            "crossover": row["crossover"],
            "lower_bound": row["lower_bound"],
            "upper_bound": row["upper_bound"],
            "ci95": row.get("ci95"),
            "ci95_method": row.get("ci95_method"),
            **_ratio(row, first),
        }
        for row, value in ordered
    ]
    crossed = sum(row["status"] == "crossed" for row in rows)
    places = [place_of(row) for row in rows]
    notes = ["levels without a measure: ratios to the first instead of a power law",
             _undecided_note(places)]  # fmt: skip
    return {
        "n_crossed": crossed,
        "n_censored": sum(place is not None for place in places) - crossed,
        "exponent": None,
        "ci95": None,
        "ci95_method": None,
        "scale": None,
        "sigma": None,
        "direction": _direction_of_levels(first, ordered[-1][0]),
        "levels": levels,
        "note": "; ".join(note for note in notes if note),
    }


def _tier(value: Any) -> tuple[int, str]:
    name = str(value)
    return (_TIERS.index(name) if name in _TIERS else len(_TIERS), PurePath(name).name)


def _ratio(row: dict[str, Any], first: dict[str, Any]) -> dict[str, float | None]:
    """The crossover divided by the first level's, or the bounds of that ratio."""
    low, high = _range(row)
    first_low, first_high = _range(first)
    exact = row["crossover"] is not None and first["crossover"] not in (None, 0)
    return {
        "ratio": row["crossover"] / first["crossover"] if exact else None,
        "ratio_lower_bound": None if exact or not low or not first_high else low / first_high,
        "ratio_upper_bound": None if exact or not high or not first_low else high / first_low,
    }


def _range(row: dict[str, Any]) -> tuple[float | None, float | None]:
    if row["crossover"] is not None:
        return row["crossover"], row["crossover"]
    return row["lower_bound"], row["upper_bound"]


def _direction_of_levels(first: dict[str, Any], last: dict[str, Any]) -> str:
    """Later or earlier where the intervals of the first and the last level do not meet."""
    (low, high), (last_low, last_high) = (
        row.get("ci95") or (row["lower_bound"], row["upper_bound"]) for row in (first, last)
    )
    if high is not None and last_low is not None and last_low > high:
        return "later"
    if low is not None and last_high is not None and last_high < low:
        return "earlier"
    return "undetermined"


def _with_followers(answer: dict[str, Any], followers: list[str]) -> dict[str, Any]:
    """Add a note on the other keys that change along, and may be what moves the crossover."""
    if answer["against"] == "n_params":  # a model's shape is what makes its size
        followers = [key for key in followers if not key.startswith("model.")]
    if followers:
        along = f"changes along with it: {', '.join(followers)}"
        answer["note"] = "; ".join(note for note in (answer["note"], along) if note)
    return answer
