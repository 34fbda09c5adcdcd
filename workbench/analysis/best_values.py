"""Which value of a tuned key is best, for each objective and each group of the other keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from workbench import stages
from workbench.analysis.crossed import CrossedMean, Over, crossed_mean, seeds_mean
from workbench.analysis.crossed_interval import as_asked, interval, missing_note
from workbench.analysis.curves import Curve, Floats, chosen, load_curves
from workbench.analysis.document_curves import document_curves, stopped_at_best
from workbench.analysis.intervals import percentiles
from workbench.analysis.optimum import Optimum, contrasts, find_optimum
from workbench.analysis.run_keys import (
    ALWAYS_NAMED,
    SEEDS,
    distinguishing_keys,
    keys_called,
    named_group,
    order_of,
)
from workbench.analysis.taken_at import taken_at
from workbench.analysis.texts import texts_of
from workbench.analysis.tuned_groups import (
    Tuned,
    by_value,
    common_seeds,
    in_order,
    key_value,
    log_places,
    tuned_groups,
)
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.messages import choose
from workbench.metrics import higher_is_better
from workbench.recipe.plain_values import PLAIN
from workbench.recipe.sides import require_key


@dataclass(frozen=True)
class Finding:
    """The answer of one group, as a row, with what laws are fitted to."""

    row: dict[str, Any]
    keys: dict[str, Any]
    """What the group's runs have in common."""
    optimum: Optimum | None
    """In the logarithm of the key; None where its values are not numbers above zero."""


def best_values(
    results: Path,
    study: str,
    key: str,
    metric: str = "val_loss",
    at: str = "last",
    *,
    along: Sequence[str] = (),
    over: Over = "seeds+documents",
    where: Conditions = (),
) -> list[Finding]:
    """The best value of a key, one answer for each objective and each group of equal other keys.

    Finished runs alone, where a group has some. All values are compared by the same seeds: those
    that most of them have, where not all have all; a value without them is shown, and not chosen.

    Args:
        key: dotted, or the last part of it.
        at: each run's last value or its best, as `analysis.outcomes` has them.
        along: keys that are tuned too: for each value of the key, the best of theirs is taken.
        over: what the intervals run over.
        where: only the runs that meet these conditions.

    Returns:
        Rows with "best", the value with the lowest mean (the highest of accuracies); "optimum",
        the vertex of the parabola in log key through the three values around it (see
        `analysis.optimum`), None where the best is at an edge of the grid, where "bound" and
        "lower_bound" or "upper_bound" say on which side it lies; its "ci95", an end None where it
        reaches beyond the grid; "ties", the values that are not surely worse than the best; and
        "values", each with its mean, its "cost", how much worse it is than the best, and the paired
        intervals of both.

    Raises:
        InputError: no such study, metric or key, or no group has two values of the key.
    """
    choose("--over", over, get_args(Over))
    taken = taken_at(at)
    curves = chosen(load_curves(results, study, metric), where).curves
    key, *others = (_named(option, asked, curves) for option, asked in
                    [("--key", key), *(("--along", one) for one in along)])  # fmt: skip
    if key in others:
        raise InputError(f"--along {key}: that is --key. Name another one that is tuned too.")
    groups = tuned_groups(curves, key, others)
    compared = [(keys, members) for keys, members in groups if len(by_value(members, [key])) > 1]
    if not compared:
        varying = [one for one in distinguishing_keys([c.keys for c in curves]) if one not in SEEDS]
        raise InputError(
            f"study {study}: no two runs differ in {key} and in nothing else but seeds"
            f"{' and ' + ', '.join(others) if others else ''}. Keys in which its runs differ: "
            f"{', '.join(varying) or 'none'}."
        )
    differing = [
        one
        for one in distinguishing_keys([keys for keys, _ in compared])
        if one not in ALWAYS_NAMED
    ]
    reader = _Reader(results, metric, taken, over)
    answers = []
    for number, (keys, members) in enumerate(compared, 1):
        stages.doing(f"best {key} by {metric}, group {number} of {len(compared)}")
        row, optimum = _answer(members, key, others, reader)
        head = {
            "study": study,
            "metric": metric,
            "at": taken,
            "key": key,
            "objective": keys.get("training.objective"),
            "group": {
                name: PLAIN.get(name) if value is None else value
                for name, value in named_group(keys, differing, members[0]).items()
            },
        }
        answers.append(Finding(head | row, keys, optimum))
    return sorted(answers, key=lambda a: (str(a.row["objective"]), *order_of(a.row["group"])))


def _named(option: str, asked: str, curves: list[Curve]) -> str:
    """The dotted key that is asked for."""
    known = {name for curve in curves for name in curve.keys}
    found = keys_called(asked, known)
    if not found:
        require_key(asked, option, [curve.keys for curve in curves])
        return asked
    if len(found) > 1:
        raise InputError(f"{option} {asked}: several keys end so: {', '.join(found)}. Name one.")
    return found[0]


@dataclass(frozen=True)
class _Reader:
    """How values are read off curves."""

    results: Path
    metric: str
    at: str
    over: Over

    @property
    def sign(self) -> float:
        """What makes lower better."""
        return -1.0 if higher_is_better(self.metric) else 1.0

    def mean(self, columns: list[list[Curve]]) -> tuple[CrossedMean, str | None]:
        """The mean of each column over its curves, which are of the same seeds in one order, with
        the covariance between columns, times `sign`; and why documents are not in it."""
        every = [curve for column in columns for curve in column]
        end = np.array([min(curve.x["tokens"][-1] for curve in every)])
        together, why = document_curves(self.results, every, self.metric)
        texts = texts_of(columns[0])
        if together is None or len(together.documents) < 2:
            values = [[self._value(c, float(end[0])) for c in column] for column in columns]
            return seeds_mean(self.sign * np.array(values).T, texts), why
        sums = [
            together.at(column, "tokens", end) if self.at == "last"
            else stopped_at_best(together, column, higher=self.sign < 0)
            for column in columns
        ]  # fmt: skip
        every_sum = self.sign * np.concatenate(sums, axis=2)
        return crossed_mean(every_sum, together.counts, texts), None

    def _value(self, curve: Curve, end: float) -> float:
        if self.at == "last":
            return float(np.interp(end, curve.x["tokens"], curve.y))
        return float(self.sign * (self.sign * curve.y).min())


def _answer(
    members: list[Curve], key: str, others: list[str], reader: _Reader
) -> tuple[dict[str, Any], Optimum | None]:
    usable = [curve for curve in members if np.isfinite(curve.y[-1])]
    finished = [curve for curve in usable if curve.finished] or usable
    tuned = in_order(_tuned(finished, key, others, reader))
    seeds = common_seeds(tuned)
    compared = [one for one in tuned if seeds <= one.seeds]
    if len(compared) < 2:
        raise InputError(
            f"{key}: its values have no seeds in common ({', '.join(c.run_id for c in members)})."
        )
    order = sorted(seeds, key=str)
    columns = [[{c.seed: c for c in one.curves}[seed] for seed in order] for one in compared]
    mean, why = reader.mean(columns)
    places = log_places([one.value for one in compared])
    best = int(mean.value.argmin())
    optimum = None if places is None else find_optimum(places, mean, reader.over)
    values = _values(compared, mean, best, reader)
    left_out = [one for one in tuned if one not in compared]
    chosen_runs = sorted(curve.run_id for column in columns for curve in column)
    return {
        "best": compared[best].value,
        **_place(optimum, places, mean, reader, why),
        "ties": [one["value"] for at, one in enumerate(values) if at != best and one["tied"]],
        "values": values,
        "seeds": len(seeds),
        "runs": chosen_runs,
        "unfinished": sorted(c.run_id for c in members if c not in finished),
        "imported": any(curve.imported for curve in members),
        "note": _note(left_out, places, key),
    }, optimum


def _tuned(curves: list[Curve], key: str, others: list[str], reader: _Reader) -> list[Tuned]:
    """The curves of each value of the key: of other tuned keys, those that are best at it."""
    found = []
    for alike in by_value(curves, [key]).values():
        variants = list(by_value(alike, others).values()) if others else [alike]
        most = max(len({c.seed for c in variant}) for variant in variants)
        full = [v for v in variants if len({c.seed for c in v}) == most]
        means = [float(reader.mean([variant])[0].value[0]) for variant in full] if others else [0.0]
        best = full[int(np.argmin(means))]
        along = {name: key_value(best[0], name) for name in others}
        found.append(Tuned(key_value(best[0], key), along, best))
    return found


def _values(
    compared: list[Tuned], mean: CrossedMean, best: int, reader: _Reader
) -> list[dict[str, Any]]:
    costs = contrasts(mean, best)
    rows = []
    for at, one in enumerate(compared):
        own, cost = (interval(m, reader.over, at) for m in (mean, costs))
        own_ci = own.ci95 and sorted(reader.sign * end for end in own.ci95)
        rows.append(
            {
                "value": one.value,
                **({"along": one.along} if one.along else {}),
                "mean": reader.sign * own.estimate,
                "ci95": own_ci,
                "cost": cost.estimate,
                "cost_ci95": cost.ci95 if at != best else None,
                "tied": at == best or (cost.ci95 is not None and cost.ci95[0] <= 0),
            }
        )
    return rows


def _place(
    optimum: Optimum | None,
    places: Floats | None,
    mean: CrossedMean,
    reader: _Reader,
    why: str | None,
) -> dict[str, Any]:
    """The vertex with its interval, or the bound in its place."""
    if optimum is None or places is None:
        nothing = dict.fromkeys(("optimum", "value_at_optimum", "bound", "lower_bound",
                                 "upper_bound", "ci95", "ci95_method", "ci95_note"))  # fmt: skip
        return as_asked(nothing, reader.over, None)
    ci95 = None
    if optimum.ranges is not None:
        low, high = percentiles(*optimum.ranges, estimate=optimum.vertex)
        ci95 = [None if end is None else float(np.exp(end)) for end in (low, high)]
    missing = missing_note(mean, reader.over, optimum.over) if optimum.over else "one seed"
    notes = [missing, why]
    answer = {
        "optimum": None if optimum.vertex is None else float(np.exp(optimum.vertex)),
        "value_at_optimum": None if optimum.lowest is None else reader.sign * optimum.lowest,
        "bound": optimum.bound,
        "lower_bound": float(np.exp(places[-2])) if optimum.bound == "lower" else None,
        "upper_bound": float(np.exp(places[1])) if optimum.bound == "upper" else None,
        "ci95": ci95,
        "ci95_method": optimum.method,
        "ci95_note": "; ".join(dict.fromkeys(note for note in notes if note)) or None,
    }
    return as_asked(answer, reader.over, optimum.over)


def _note(left_out: list[Tuned], places: Floats | None, key: str) -> str | None:
    notes = []
    if left_out:
        named = ", ".join(str(one.value) for one in left_out)
        notes.append(f"{key} = {named}: without the seeds of the others, and not compared")
    if places is None:
        notes.append(f"values of {key} that are not numbers above 0: no parabola")
    return "; ".join(notes) or None
