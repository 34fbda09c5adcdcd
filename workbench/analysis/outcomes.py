"""The best and the last value of each configuration, over its seeds."""

from pathlib import Path
from typing import Any, get_args

import numpy as np

from workbench.analysis.crossed import CrossedMean, Over, crossed_mean, seeds_mean
from workbench.analysis.crossed_interval import as_asked, interval
from workbench.analysis.curves import Curve, StudyCurves, chosen, load_curves
from workbench.analysis.document_curves import document_curves, stopped_at_best
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
    groups: dict[str, tuple[dict[str, Any], list[Curve]]] = {}
    loaded = loaded or load_curves(results, study, metric)
    for curve in chosen(loaded, where).curves:
        keys = {key: value for key, value in curve.keys.items() if key not in SEEDS}
        groups.setdefault(identity(keys), (keys, []))[1].append(curve)
    differing = [
        key
        for key in distinguishing_keys([keys for keys, _ in groups.values()])
        if key not in ALWAYS_NAMED
    ]
    rows = []
    for keys, all_curves in groups.values():
        curves = [c for c in all_curves if c.finished] or all_curves
        places = [int(np.argmax(c.y) if higher else np.argmin(c.y)) for c in curves]
        rows.append(
            {
                "study": study,
                "metric": metric,
                "objective": keys.get("training.objective"),
                "group": named_group(keys, differing, curves[0]),
                "seeds": len(curves),
                "estimator": curves[0].estimator,
                **_levels(results, curves, metric, higher, over),
                "best_epoch": _over_seeds(
                    [float(c.x["epochs"][at]) for c, at in zip(curves, places, strict=True)]
                ),
                "still_improving": sum(
                    at == len(c.y) - 1 for c, at in zip(curves, places, strict=True)
                ),
                "runs": sorted(c.run_id for c in curves),
                "unfinished": sorted(c.run_id for c in all_curves if not c.finished),
            }
        )
    return sorted(rows, key=_place)


def _levels(
    results: Path, curves: list[Curve], metric: str, higher: bool, over: Over
) -> dict[str, dict[str, Any]]:
    """The best and the last value of one configuration's runs."""
    end = min(curve.x["tokens"][-1] for curve in curves)
    together, why = document_curves(results, curves, metric)
    if together is None or len(together.documents) < 2:
        bests = [float(c.y.max() if higher else c.y.min()) for c in curves]
        lasts = [float(np.interp(end, c.x["tokens"], c.y)) for c in curves]
        return {
            name: _in_range(_over_seeds(values, over, why), metric)
            for name, values in (("best", bests), ("last", lasts))
        }
    last = together.at(curves, "tokens", np.array([end]))
    best = stopped_at_best(together, curves, higher=higher)
    return {
        name: _in_range(_answer(crossed_mean(sums, together.counts), over), metric)
        for name, sums in (("best", best), ("last", last))
    }


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
    values: list[float], over: Over = "seeds", why: str | None = None
) -> dict[str, Any]:
    """The mean of the seeds' values, with its interval over seeds alone; None where one is not
    known, as epochs of imported runs may be.

    Args:
        over: what was asked for.
        why: why the documents are not in it.
    """
    if not np.isfinite(values).all():
        empty = dict.fromkeys(("mean", "ci95", "ci95_method", "ci95_note", "over"))
        return empty | {"over_asked": over}
    answer = _answer(seeds_mean(np.array(values)[:, None]), "seeds")
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
