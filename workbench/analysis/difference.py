"""How far the challenger is ahead, at the end or at its best, and whether that may be noise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench import stages
from workbench.analysis.crossed import (
    CrossedMean,
    Over,
    crossed_difference,
    crossed_mean,
    seeds_mean,
)
from workbench.analysis.crossed_interval import as_asked, interval
from workbench.analysis.curves import Curve, Floats, chosen, load_curves
from workbench.analysis.document_curves import (
    PairedRuns,
    common_places,
    document_curves,
    lead_along,
    paired,
    seeds_difference,
    stopped_at_best,
    with_runs_of,
)
from workbench.analysis.pairing import (
    Pair,
    Side,
    compared_pairs,
    finished_runs,
    named_runs,
    side_words,
)
from workbench.analysis.table_rows import four_digits, interval_text
from workbench.analysis.taken_at import taken_at
from workbench.analysis.texts import texts_of
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.metrics import higher_is_better

_Z95 = 1.959964


def differences(
    results: Path,
    study: str,
    metric: str,
    at: str = "last",
    *,
    estimator: str | None = None,
    baseline: Side | None = None,
    challenger: Side | None = None,
    over: Over = "seeds+documents",
    where: Conditions = (),
) -> list[dict[str, Any]]:
    """The challenger's mean over seeds minus the baseline's, one row a pair of configurations.

    Finished runs alone are compared where both sides have some, else all; "unfinished" lists the
    others. The last value is that at the last place which all compared runs have reached.

    Args:
        at: each run's "last" value, or its "best". Where values of single documents are known, the
            best is chosen on one half of them and measured on the other, both ways; else it is the
            best of noisy points and flatters both sides alike.
        estimator: only values whose estimator's name contains this text, such as "questions=2000"
            for what `workbench eval` measured later.
        over: what the interval runs over.
        where: compare only the runs that meet these conditions.

    Returns:
        Rows with "difference", its "ci95", and the words for what that runs over in
        "ci95_method" and "ci95_note": seeds and documents, crossed (see `analysis.crossed`), where
        both are known; None where neither is, nor a standard error. "ahead" is "challenger" or
        "baseline" where the interval does not contain zero, else None.

    Raises:
        InputError: no such study, metric or estimator, or no two runs make a pair.
    """
    taken = taken_at(at)
    loaded = chosen(load_curves(results, study, metric, estimator=estimator), where)
    sides, pairs = compared_pairs(loaded, baseline, challenger)
    rows = []
    for number, pair in enumerate(pairs, 1):
        stages.doing(f"difference of {metric}, pair {number} of {len(pairs)}")
        compared, unfinished = finished_runs(pair)
        answer = _Compared(results, compared, metric, over)
        rows.append(
            {
                "study": study,
                "group": pair.group,
                "metric": metric,
                "at": taken,
                "baseline": sides[0],
                "challenger": sides[1],
                **{"last": answer.last, "best": answer.best}[taken](),
                "estimators": {
                    "baseline": pair.baseline[0].estimator,
                    "challenger": pair.challenger[0].estimator,
                },
                **named_runs(compared.baseline, compared.challenger),
                "unfinished": unfinished,
            }
        )
    return rows


@dataclass(frozen=True)
class _Compared:
    """A pair whose values are compared."""

    results: Path
    pair: Pair
    metric: str
    over: Over

    @property
    def higher(self) -> bool:
        return higher_is_better(self.metric)

    def last(self) -> dict[str, Any]:
        """At the last place that all runs of the pair have reached."""
        places = common_places(self.pair, "tokens")
        if not len(places):
            raise InputError(
                f"runs {self.pair.baseline[0].run_id} and {self.pair.challenger[0].run_id} have no "
                "tokens in common yet."
            )
        end = float(places[-1])
        lead = lead_along(self.results, self.pair, self.metric, "tokens", higher=self.higher)
        assert lead is not None
        ours, theirs = (_at(side, end) for side in (self.pair.challenger, self.pair.baseline))
        # A lead is above zero where the challenger is better; a difference is plain subtraction.
        difference = lead.mean if self.higher else -lead.mean
        return {
            **self._answer(ours, theirs, difference, len(lead.x) - 1, lead.note),
            "at_tokens": end,
            "at_epochs": _epoch(self.pair.challenger, end),
        }

    def best(self) -> dict[str, Any]:
        """Each run at its best point, wherever that is."""
        sides = self.pair.challenger, self.pair.baseline
        together, why = document_curves(
            self.results, [*self.pair.baseline, *self.pair.challenger], self.metric
        )
        if together is None or len(together.documents) < 2:
            return self._best_points(f"best of noisy points: {why}")
        stopped = [stopped_at_best(together, side, higher=self.higher) for side in sides]
        values = [_Values(sums.sum(axis=(1, 2)) / together.counts.sum()) for sums in stopped]
        pairs = paired(self.pair)
        if pairs:
            gaps = np.stack([self._gap(one, *stopped) for one in pairs])
            mean = crossed_mean(gaps, together.counts, [one.text for one in pairs])
            mean = with_runs_of(mean, pairs)
        else:
            both = texts_of(sides[0]), texts_of(sides[1])
            mean = crossed_difference(stopped[0], stopped[1], together.counts, both)
        return self._answer(values[0], values[1], mean, 0, None)

    def _best_points(self, note: str) -> dict[str, Any]:
        """Each run's best point, as good or bad luck has it."""
        sides = self.pair.challenger, self.pair.baseline
        best = [_best(side, self.higher) for side in sides]
        values = [one.values[:, None] for one in best]
        pairs = paired(self.pair)
        if pairs:
            gaps = np.stack([self._gap(one, *values) for one in pairs])
            mean = with_runs_of(seeds_mean(gaps, [one.text for one in pairs]), pairs)
        else:
            both = texts_of(sides[0]), texts_of(sides[1])
            mean = seeds_difference(values[0], values[1], both, paired=False)
        return self._answer(best[0], best[1], mean, 0, note)

    def _gap(self, runs: PairedRuns, ours: Floats, theirs: Floats) -> Floats:
        """The challenger's mean over paired runs minus the baseline's.

        Args:
            ours, theirs: values of all runs of each side, in the order of the pair.
        """
        own = [self.pair.challenger.index(curve) for curve in runs.challenger]
        other = [self.pair.baseline.index(curve) for curve in runs.baseline]
        return np.asarray(ours[own].mean(axis=0) - theirs[other].mean(axis=0))

    def _answer(
        self,
        ours: "_Values",
        theirs: "_Values",
        mean: CrossedMean,
        point: int,
        note: str | None,
    ) -> dict[str, Any]:
        difference = float(ours.values.mean() - theirs.values.mean())
        found = interval(mean, self.over, point)
        ci95, method = found.ci95, found.method
        notes = [one for one in (found.note, note) if one]
        if ci95 is None or ci95[0] == ci95[1]:
            ci95 = _by_errors(difference, ours.stderr, theirs.stderr)
            method = "standard errors of the values; seeds are not in it" if ci95 else None
        answer = {
            "baseline_value": float(theirs.values.mean()),
            "challenger_value": float(ours.values.mean()),
            "seeds": min(len(ours.values), len(theirs.values)),
            "difference": difference,
            "ci95": ci95,
            "ci_method": method,
            "ci95_method": method,
            "ci95_note": "; ".join(dict.fromkeys(notes)) or None,
            "ahead": _ahead(ci95, self.higher),
        }
        return as_asked(answer, self.over, found.over if method == found.method else None)


@dataclass(frozen=True)
class _Values:
    """Each seed's value, with its standard error (NaN where none is stored)."""

    values: Floats
    errors: Floats | None = None

    @property
    def stderr(self) -> Floats:
        return np.full(len(self.values), np.nan) if self.errors is None else self.errors


def _at(curves: list[Curve], tokens: float) -> _Values:
    values = [float(np.interp(tokens, curve.x["tokens"], curve.y)) for curve in curves]
    nearest = [int(np.argmin(np.abs(curve.x["tokens"] - tokens))) for curve in curves]
    errors = [curve.stderr[i] for curve, i in zip(curves, nearest, strict=True)]
    return _Values(np.array(values), np.array(errors))


def _best(curves: list[Curve], higher: bool) -> _Values:
    places = [int(np.argmax(curve.y) if higher else np.argmin(curve.y)) for curve in curves]
    each = list(zip(curves, places, strict=True))
    return _Values(np.array([c.y[i] for c, i in each]), np.array([c.stderr[i] for c, i in each]))


def _epoch(curves: list[Curve], tokens: float) -> float | None:
    curve = curves[0]
    epochs = curve.x["epochs"]
    if np.isnan(epochs).any():
        return None
    return float(np.interp(tokens, curve.x["tokens"], epochs))


def _by_errors(difference: float, ours: Floats, theirs: Floats) -> list[float] | None:
    """A normal interval from the values' standard errors: of each side's mean, in quadrature."""
    variance = (ours**2).sum() / len(ours) ** 2 + (theirs**2).sum() / len(theirs) ** 2
    if not np.isfinite(variance) or variance == 0:
        return None
    half = _Z95 * float(np.sqrt(variance))
    return [difference - half, difference + half]


def _ahead(ci95: list[float] | None, higher: bool) -> str | None:
    if ci95 is None or ci95[0] <= 0 <= ci95[1]:
        return None
    return "challenger" if (ci95[0] > 0) == higher else "baseline"


def difference_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `differences` as table cells. A side of several configurations has no short name:
    the row's group says which of them it is about."""
    sides = {
        side: f"the {side}" if _is_several(row[side]) else side_words(row[side])
        for side in ("baseline", "challenger")
    }
    return {
        **row["group"],
        "seeds": row["seeds"],
        f"{row['at']} {row['metric']} of {sides['baseline']}": four_digits(row["baseline_value"]),
        f"of {sides['challenger']}": four_digits(row["challenger_value"]),
        "difference": four_digits(row["difference"]),
        "95 % interval": interval_text(row["ci95"]),
        "ahead": sides[row["ahead"]] if row["ahead"] else "undecided",
    }


def _is_several(side: Side) -> bool:
    return not isinstance(side, str) and any(isinstance(value, list) for value in side.values())
