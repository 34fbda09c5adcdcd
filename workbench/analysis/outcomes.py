"""The best and the last value of each configuration, over its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from workbench.analysis.crossed import CrossedMean, Over, crossed_mean, seeds_mean
from workbench.analysis.crossed_interval import as_asked, interval
from workbench.analysis.curves import Curve, StudyCurves, chosen, load_curves, require_axis
from workbench.analysis.document_curves import (
    DocumentCurves,
    document_curves,
    stopped_at_best,
)
from workbench.analysis.interval_notes import notes_of, unfinished_notes
from workbench.analysis.run_keys import (
    ALWAYS_NAMED,
    SEEDS,
    distinguishing_keys,
    identity,
    named_group,
    order_of,
)
from workbench.analysis.table_rows import four_digits, interval_text, without_empty_intervals
from workbench.analysis.texts import texts_of
from workbench.conditions import Conditions
from workbench.messages import choose
from workbench.metrics import higher_is_better, value_range


def outcomes(
    results: Path,
    study: str,
    metric: str,
    *,
    over: Over = "seeds+documents",
    where: Conditions = (),
    loaded: StudyCurves | None = None,
) -> list[dict[str, Any]]:
    """Each configuration's best and last value, one row a configuration, seeds averaged.

    Finished runs alone where there are some, else all of them; "unfinished" lists the others. The
    last value is that at the last place which all of those runs have reached. The best is chosen
    on one half of the held-out documents and measured on the other, both ways, where values of
    single documents are known; else it is the best of noisy points, and a little too good.

    Args:
        where: only the runs that meet these conditions.
        loaded: the study's curves of the metric, where they are loaded already.

    Returns:
        Rows with "group" (unique_tokens, n_params, and the other keys that differ),
        "objective", "seeds", "estimator", "runs", "unfinished", and "best", "last", "best_epoch":
        each with the mean over seeds and "ci95", with "ci95_method" and "ci95_note" saying what it
        runs over (None where nothing is known of it). "still_improving" counts the seeds whose
        last point is their best.

    Raises:
        InputError: no such study or metric.
    """
    higher = higher_is_better(metric)
    choose("--over", over, get_args(Over))
    loaded = chosen(loaded or load_curves(results, study, metric), where)
    rows = []
    for one in configurations(loaded):
        places = [int(np.argmax(c.y) if higher else np.argmin(c.y)) for c in one.curves]
        rows.append(
            {
                **one.head(loaded),
                **_levels(results, one.curves, metric, higher, over),
                "best_epoch": _over_seeds(
                    [float(c.x["epochs"][at]) for c, at in zip(one.curves, places, strict=True)],
                    texts_of(one.curves),
                ),
                "still_improving": sum(
                    at == len(c.y) - 1 for c, at in zip(one.curves, places, strict=True)
                ),
                **one.tail(),
            }
        )
    return sorted(rows, key=_place)


def best_within(
    results: Path,
    study: str,
    metric: str,
    budgets: Sequence[float],
    *,
    over: Over = "seeds+documents",
    where: Conditions = (),
) -> list[dict[str, Any]]:
    """What each configuration had reached by so many training FLOPs, seeds averaged.

    A configuration is compared at a budget that all its runs have trained to. The best is one that
    was measured at or before it, along runs that may have been planned for more: a run planned for
    the budget would have let its learning rate decay by then, and may have become better.

    Args:
        budgets: training FLOPs.

    Returns:
        Rows as those of `outcomes`, one a configuration and budget, with "flops", the budget, and
        "best" alone of the values.

    Raises:
        InputError: no such study or metric, or runs without FLOPs.
    """
    higher = higher_is_better(metric)
    loaded = chosen(load_curves(results, study, metric), where)
    require_axis(loaded.curves, "flops")
    rows = []
    for one in configurations(loaded):
        together, why = document_curves(results, one.curves, metric)
        for budget in budgets:
            counts = [int(np.searchsorted(c.x["flops"], budget, "right")) for c in one.curves]
            if not all(counts) or min(c.x["flops"][-1] for c in one.curves) < budget:
                continue
            cut = [c.first(count) for c, count in zip(one.curves, counts, strict=True)]
            best = _best(together and together.of(cut), why, cut, metric, higher, over)
            rows.append({**one.head(loaded), "flops": float(budget), "best": best, **one.tail()})
    return sorted(rows, key=lambda row: (row["flops"], _place(row)))


@dataclass(frozen=True)
class Configuration:
    """The runs of a study that differ in nothing but their seeds."""

    keys: dict[str, Any]
    group: dict[str, Any]
    """What it is called among the study's configurations."""
    curves: list[Curve]
    """Of its finished runs where there are some, else of all."""
    unfinished: list[str]

    def head(self, of: StudyCurves) -> dict[str, Any]:
        """The first columns of a row about it."""
        return {
            "study": of.study,
            "metric": of.metric,
            "objective": self.keys.get("training.objective"),
            "group": self.group,
            "seeds": len(self.curves),
            "estimator": self.curves[0].estimator,
        }

    def tail(self) -> dict[str, Any]:
        """The last columns of a row about it."""
        runs = sorted(curve.run_id for curve in self.curves)
        return {"runs": runs, "unfinished": self.unfinished}


def configurations(loaded: StudyCurves) -> list[Configuration]:
    """The configurations of a study's curves."""
    groups: dict[str, tuple[dict[str, Any], list[Curve]]] = {}
    for curve in loaded.curves:
        keys = {key: value for key, value in curve.keys.items() if key not in SEEDS}
        groups.setdefault(identity(keys), (keys, []))[1].append(curve)
    differing = [
        key
        for key in distinguishing_keys([keys for keys, _ in groups.values()])
        if key not in ALWAYS_NAMED
    ]
    return [
        Configuration(
            keys,
            named_group(keys, differing, curves[0]),
            [c for c in curves if c.finished] or curves,
            sorted(c.run_id for c in curves if not c.finished),
        )
        for keys, curves in groups.values()
    ]


def _levels(
    results: Path, curves: list[Curve], metric: str, higher: bool, over: Over
) -> dict[str, dict[str, Any]]:
    """The best and the last value of one configuration's runs."""
    end = min(curve.x["tokens"][-1] for curve in curves)
    together, why = document_curves(results, curves, metric)
    best = _best(together, why, curves, metric, higher, over)
    if together is None or len(together.documents) < 2:
        lasts = [float(np.interp(end, c.x["tokens"], c.y)) for c in curves]
        return {
            "best": best,
            "last": _in_range(_over_seeds(lasts, texts_of(curves), over, why), metric),
        }
    last = together.at(curves, "tokens", np.array([end]))
    mean = crossed_mean(last, together.counts, texts_of(curves))
    return {"best": best, "last": _in_range(_answer(mean, over), metric)}


def _best(
    together: DocumentCurves | None,
    why: str | None,
    curves: list[Curve],
    metric: str,
    higher: bool,
    over: Over,
) -> dict[str, Any]:
    """The best value of runs, with its interval.

    Args:
        together: the same runs document by document, or None and `why`.
    """
    if together is None or len(together.documents) < 2:
        bests = [float(c.y.max() if higher else c.y.min()) for c in curves]
        return _in_range(_over_seeds(bests, texts_of(curves), over, why), metric)
    sums = stopped_at_best(together, curves, higher=higher)
    return _in_range(_answer(crossed_mean(sums, together.counts, texts_of(curves)), over), metric)


def _answer(mean: CrossedMean, over: Over) -> dict[str, Any]:
    found = interval(mean, over)
    answer = {
        "mean": found.estimate,
        "ci95": found.ci95,
        "ci95_method": found.method,
        "ci95_note": found.note,
    }
    return as_asked(answer, over, found.over)


def _in_range(answer: dict[str, Any], metric: str) -> dict[str, Any]:
    """The answer, with a note where its interval holds values that the metric cannot have.

    A t interval is right for means that are near normal. Where a handful of documents or seeds
    leaves it a degree of freedom or two, it can be wider than the metric's range: then it says that
    nearly nothing is known, and no other scale would know more. It is not cut, for what is left
    would look like knowledge.
    """
    least, most = value_range(metric)
    if answer["ci95"] is None:
        return answer
    low, high = answer["ci95"]
    if least <= low and high <= most:
        return answer
    beyond = {f"below {least:g}": low < least, f"above {most:g}": high > most}
    sides = " and ".join(side for side, is_beyond in beyond.items() if is_beyond)
    note = f"an interval that reaches {sides}, where no {metric} is, is too wide to be used"
    return answer | {"ci95_note": "; ".join(filter(None, (note, answer["ci95_note"])))}


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Sorts by objective, then as groups are."""
    return str(row["objective"]), *order_of(row["group"])


def _over_seeds(
    values: list[float], texts: list[Any], over: Over = "seeds", why: str | None = None
) -> dict[str, Any]:
    """The mean of the seeds' values, with its interval over seeds alone; None where one is not
    known, as epochs of imported runs may be.

    Args:
        texts: which draw of the training text each seed has.
        over: what was asked for.
        why: why the documents are not in it.
    """
    if not np.isfinite(values).all():
        empty = dict.fromkeys(("mean", "ci95", "ci95_method", "ci95_note", "over"))
        return empty | {"over_asked": over}
    answer = _answer(seeds_mean(np.array(values)[:, None], texts), "seeds")
    note = "; ".join(n for n in (answer["ci95_note"], why) if n) or None
    return as_asked(answer | {"ci95_note": note}, over, answer["over"])


def outcome_table(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Outcomes as a table, without intervals where no configuration has several seeds."""
    return without_empty_intervals([outcome_table_row(row) for row in rows])


def outcome_notes(rows: list[dict[str, Any]]) -> list[str]:
    """What the intervals of a table run over, what they lack, and which runs were left out."""
    return notes_of([row[name] for row in rows for name in ("best", "last")]) + (
        unfinished_notes(rows)
    )


def outcome_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `outcomes` as table cells."""

    def text(name: str) -> str | None:
        mean = row[name]["mean"]
        return None if mean is None else four_digits(mean)

    epoch = text("best_epoch")
    return {
        "objective": row["objective"],
        **row["group"],
        "seeds": row["seeds"],
        f"best {row['metric']}": text("best"),
        "95 % interval": interval_text(row["best"]["ci95"]),
        "at epoch": f"> {epoch}" if epoch and row["still_improving"] else epoch,
        "last": text("last"),
        "95 % interval of the last": interval_text(row["last"]["ci95"]),
    }
