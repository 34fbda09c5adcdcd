"""The numbers of an export: crossovers, and best losses at equal data and at equal compute."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from workbench.analysis.crossover import crossovers
from workbench.analysis.outcomes import best_within, outcomes
from workbench.analysis.pairing import side_words
from workbench.analysis.run_keys import UNIQUE, identity
from workbench.errors import InputError
from workbench.metrics import higher_is_better
from workbench.report.board.exports import Export
from workbench.report.board.likeness import FINGERPRINT, Number, terms_of
from workbench.report.board.runs import Run
from workbench.report.evaluated import chosen_metrics
from workbench.store.query import literal

AXES = ("tokens", "flops")
_STATUSES = ("crossed", "not_reached", "ahead_throughout", "undecided")
_OF_EVALUATION = ("metric", "protocol", FINGERPRINT, "data.seq_len", "data.validation_tokens")
"""Terms in which losses of different configurations have to agree to be compared."""

Rows = list[dict[str, Any]]


def metrics_of(export: Export, study: str) -> list[str]:
    """The held-out losses and the accuracies of a study."""
    names = chosen_metrics(export.folder, study, None)
    return [name for name in names if name.startswith("val_loss") or higher_is_better(name)]


def crossovers_of(export: Export, study: str, runs: dict[str, Run]) -> list[Number]:
    """A study's crossovers along training tokens, with those along training FLOPs beside them where
    FLOPs are known; none where its runs are not compared in pairs."""
    numbers = []
    for metric in metrics_of(export, study):
        by_axis = {axis: _answers(export, study, metric, axis) for axis in AXES}
        along = {axis: {identity(row["group"]): row for row in by_axis[axis]} for axis in AXES}
        for name, row in along["tokens"].items():
            found = {axis: along[axis][name] for axis in AXES if name in along[axis]}
            numbers.append(_crossover(export, row, found, runs))
    return numbers


def _answers(export: Export, study: str, metric: str, axis: str) -> Rows:
    try:
        rows = crossovers(export.folder, study, metric, axis)
    except InputError:  # no two runs make a pair, or no FLOPs are known
        return []
    stored = _stored(export, study, metric, axis)
    return [_as_measured(row, stored.get(_place(row))) for row in rows]


def _as_measured(row: dict[str, Any], stored: dict[str, Any] | None) -> dict[str, Any]:
    """The answer of the export in the place of ours, where it was worked out from values of single
    documents that the export leaves out, and from the very curves that it has."""
    if stored is None or row["definition"] == "band" or stored["last_x"] != row["last_x"]:
        return row
    ours, theirs = row["all_crossings"], stored["all_crossings"]
    same = len(ours) == len(theirs) and np.allclose(ours, theirs, rtol=1e-6)
    return {**row, **stored, "by_author": True} if same else row


def _place(row: dict[str, Any]) -> str:
    """The runs of both sides, which a comparison is known by."""
    return identity({side: sorted(row["runs"][side]) for side in ("baseline", "challenger")})


def _stored(export: Export, study: str, metric: str, axis: str) -> dict[str, dict[str, Any]]:
    """The answers by band that an export has, by their runs; what is none is left."""
    rows = export.ask(
        f"""SELECT result FROM crossovers WHERE study = {literal(study)} AND definition = 'band'
            AND metric = {literal(metric)} AND axis = {literal(axis)}"""
    )
    found = {}
    for row in rows:
        try:
            answer = json.loads(row["result"])
            found[_place(answer)] = _checked(answer)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue  # written by something else: ours stands
    return found


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    """What is taken from a stored answer.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it has another form.
    """
    if answer["definition"] != "band" or answer["status"] not in _STATUSES:
        raise ValueError("no answer by band")
    limits = [None, None] if answer["ci95"] is None else list(answer["ci95"])
    numbers = ("crossover", "first_x", "last_x", "lower_bound", "upper_bound")
    every = [*(answer[name] for name in numbers), *limits, *answer["all_crossings"]]
    known = [value for value in every if value is not None]
    plain = all(type(value) in (int, float) for value in known)
    if len(limits) != 2 or not plain or not np.isfinite(known).all():
        raise ValueError("no interval")
    if (answer["status"] == "crossed") != (answer["crossover"] is not None):
        raise ValueError("no place")
    texts = {name: answer[name] for name in ("ci95_method", "ci95_note")}
    if not all(value is None or isinstance(value, str) for value in texts.values()):
        raise ValueError("no words")
    return {
        **{name: answer[name] for name in (*numbers, "status", "all_crossings")},
        **texts,
        "definition": "band",
        "over": answer["over"],
        "ci95": None if answer["ci95"] is None else limits,
    }


def _crossover(
    export: Export, row: dict[str, Any], along: dict[str, dict[str, Any]], runs: dict[str, Run]
) -> Number:
    sides = {side: side_words(row[side]) for side in ("baseline", "challenger")}
    asked = {
        "metric": row["metric"],
        "definition": ", ".join(found["definition"] for found in along.values()),
        **sides,
    }
    own = {side: [runs[run] for run in row["runs"][side]] for side in sides}
    return Number(
        export=export.name,
        study=row["study"],
        what=f"crossover by {row['metric']}",
        question=("crossover", row["metric"], sides["baseline"], sides["challenger"]),
        terms=terms_of(asked, own),
        rows=along,
        runs={side: tuple(ids) for side, ids in row["runs"].items()},
        seeds=row["seeds"],
        by_author=frozenset(axis for axis, found in along.items() if found.get("by_author")),
    )


def losses_of(export: Export, study: str, runs: dict[str, Run]) -> list[Number]:
    """The best held-out losses of each configuration of a study, with all of its compute."""
    numbers = []
    for metric in _losses(export, study):
        rows = outcomes(export.folder, study, metric)
        numbers += [_loss(export, row, runs) for row in rows if row["best"]["mean"] is not None]
    return numbers


def losses_within(
    export: Export, study: str, runs: dict[str, Run], budgets: Sequence[float]
) -> list[Number]:
    """The best held-out losses of each configuration of a study by each of these training FLOPs;
    none where FLOPs are not known."""
    numbers = []
    for metric in _losses(export, study):
        try:
            rows = best_within(export.folder, study, metric, budgets)
        except InputError:  # imported without FLOPs
            continue
        numbers += [_loss(export, row, runs) for row in rows]
    return numbers


def _losses(export: Export, study: str) -> list[str]:
    return [name for name in metrics_of(export, study) if name.startswith("val_loss")]


def _loss(export: Export, row: dict[str, Any], runs: dict[str, Run]) -> Number:
    own = [runs[run] for run in row["runs"]]
    terms = terms_of({"metric": row["metric"]}, {"": own})
    if None in {run.fingerprint for run in own}:
        # Imported: who put the runs into one study says that they are of the same text.
        terms[FINGERPRINT] = f"not known, of {row['study']}, {export.name}"
    # What evaluates losses alike, and the budget, has to agree; the configuration is their choice.
    budget = ("flops", row["flops"]) if "flops" in row else ("unique", own[0].unique_tokens)
    agree = tuple(f"{name} {terms.get(name)}" for name in _OF_EVALUATION)
    return Number(
        export=export.name,
        study=row["study"],
        what=f"best {row['metric']}",
        question=(budget[0], *agree, str(budget[1])),
        terms={key: value for key, value in terms.items() if key != UNIQUE or "flops" in row},
        rows={"best": row | {"unique_tokens": own[0].unique_tokens}},
        runs={"": tuple(row["runs"])},
        seeds=row["seeds"],
    )


def budgets_of(exports: Iterable[Export]) -> list[float]:
    """Training FLOPs at which losses are compared: 1, 3, 10, ... within what was trained."""
    spans = [
        export.ask(
            """SELECT min(flops) AS low, max(flops) AS high FROM metrics
               WHERE flops > 0 AND value IS NOT NULL AND metric LIKE 'val_loss%'"""
        )[0]
        for export in exports
    ]
    lows = [span["low"] for span in spans if span["low"] is not None]
    if not lows:
        return []
    low, high = min(lows), max(span["high"] for span in spans if span["high"] is not None)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    grid = [digit * 10.0**power for power in powers for digit in (1, 3)]
    return [budget for budget in grid if low <= budget <= high]
