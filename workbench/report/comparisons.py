"""A report's sections on one metric: where the challenger overtakes, and how that moves."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from workbench.analysis.bounds import bound_note, bounded_sides
from workbench.analysis.crossover import crossovers
from workbench.analysis.effective_data import effective_data
from workbench.analysis.interval_notes import definition_notes, notes_of
from workbench.analysis.table_rows import effective_table_row, trend_table_row
from workbench.analysis.trends import crossover_trends
from workbench.errors import InputError, WorkbenchError
from workbench.figures import (
    crossover_figure,
    crossover_trend_figure,
    curves_figure,
    effective_data_figure,
    map_figure,
)
from workbench.figures.theme import place_text
from workbench.recipe.objectives import BASELINE, CHALLENGER
from workbench.report.answers import at_end, crossover_sentence
from workbench.report.sections import Section, attempt, points_sql, sentence
from workbench.store import keep_crossovers
from workbench.store.query import literal

_AXES = {"tokens": "training tokens", "epochs": "epochs", "flops": "training FLOPs"}


def metric_sections(
    results: Path, study: str, metric: str, verdicts: list[str], missing: list[str]
) -> list[Section | None]:
    """The sections on one metric: the comparison, or only its curves if nothing can be compared.

    Args:
        verdicts, missing: lists that this function adds lines to.
    """
    by_axis: dict[str, list[dict[str, Any]]] = {}
    for axis in _AXES:
        try:
            by_axis[axis] = crossovers(results, study, metric, axis)
        except InputError as error:
            missing.append(str(error))
            if axis == "tokens":
                return [attempt(partial(_curves, results, study, metric), missing)]
            continue
        with suppress(WorkbenchError):  # the report is written even where the store cannot be
            keep_crossovers(results, by_axis[axis])
    by_tokens = by_axis["tokens"]
    strict = crossovers(results, study, metric, "tokens", definition="best_so_far")
    with suppress(WorkbenchError):
        keep_crossovers(results, strict)
    verdicts.append(_verdict(results, metric, by_tokens, strict))
    sections: list[Section | None] = [_answers(results, study, metric, by_axis, strict)]
    if "epochs" in by_axis:
        sections.append(_drawn(results, study, metric, "Along epochs", by_axis["epochs"]))
    side = "AR" if _usual(by_tokens[0]) else "training"
    sections.append(_drawn(results, study, metric, f"Against early-stopped {side}", strict))
    if len({row["group"]["unique_tokens"] for row in by_tokens}) > 1:
        sections.append(attempt(partial(_trend, study, metric, by_tokens), missing))
        sections.append(attempt(partial(_effective, results, study, metric), missing))
        if len({row["group"]["n_params"] for row in by_tokens}) > 1:
            sections.append(attempt(partial(_map, study, metric, by_tokens), missing))
    return sections


def _verdict(
    results: Path, metric: str, rows: list[dict[str, Any]], strict: list[dict[str, Any]]
) -> str:
    late = [row for row in strict if row["status"] == "not_reached"]
    line = sentence(f"By {metric}, {crossover_sentence(rows, at_end(results, rows))}")
    if len(late) == len(strict) and any(row["status"] == "crossed" for row in rows):
        line += " Against early-stopped training it does not overtake within these runs."
    if {bounded_sides(row) for row in rows} == {frozenset({"challenger"})}:
        line += " NELBOs being upper bounds, in truth it is no later."
    return line


def _answers(
    results: Path,
    study: str,
    metric: str,
    by_axis: dict[str, list[dict[str, Any]]],
    strict: list[dict[str, Any]],
) -> Section:
    by_tokens = by_axis["tokens"]
    note = bound_note(by_tokens)
    every = [row for rows in (*by_axis.values(), strict) for row in rows]
    return Section(
        f"Where diffusion overtakes AR: {metric}"
        if _usual(by_tokens[0]) else f"Where the challenger overtakes: {metric}",
        text=tuple(sentence(line) for line in (*_notes(every), note) if line),
        rows=tuple(map(_row, every)),
        figure=crossover_figure(results, study, metric, "tokens", by_tokens),
        sql=(_stored_sql(study, metric), points_sql(study, metric)),
    )  # fmt: skip


def _usual(row: dict[str, Any]) -> bool:
    return (row["baseline"], row["challenger"]) == (BASELINE, CHALLENGER)


def _stored_sql(study: str, metric: str) -> str:
    return f"""SELECT axis, definition, json_extract(result, '$.group') AS compared, status,
       crossover, last_x,
       json_extract(result, '$.ci95') AS interval_95,
       json_extract_string(result, '$.ci95_method') AS method
FROM crossovers WHERE study = {literal(study)} AND metric = {literal(metric)}
ORDER BY axis, definition, n_params, unique_tokens, compared"""


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """The table cells of a crossover on one axis, with signs before bounds."""
    axis = row["axis"]
    place = row["crossover"]
    sign = ""
    if place is None:
        sign, place = (
            ("> ", row["lower_bound"]) if row["lower_bound"] else ("< ", row["upper_bound"])
        )
    return {
        **row["group"],
        "definition": row["definition"],
        "axis": _AXES[axis],
        "status": row["status"].replace("_", " "),
        "crossover": None if place is None else f"{sign}{place_text(place, axis)}",
        "95 % interval": _interval(row["ci95"], axis),
        "seeds": row["seeds"],
    }


def _interval(interval: list[float | None] | None, axis: str) -> str | None:
    if interval is None:
        return None
    low, high = (None if end is None else place_text(end, axis) for end in interval)
    if low and high:
        return f"{low.split()[0]} to {high}"
    if low:
        return f"from {low}; upper limit beyond the range"
    return f"to {high}; lower limit before the range" if high else "beyond the range on both sides"


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    """What counts as a crossover, and what the intervals run over."""
    return [*definition_notes(rows), *notes_of(rows)]


def _curves(results: Path, study: str, metric: str) -> Section:
    return Section(
        f"Curves: {metric}",
        figure=curves_figure(results, study, [metric]),
        sql=(points_sql(study, metric),),
    )


def _drawn(
    results: Path, study: str, metric: str, title: str, rows: list[dict[str, Any]]
) -> Section:
    axis = rows[0]["axis"]
    strict = rows[0]["definition"] == "best_so_far"
    return Section(
        title,
        text=("The challenger has to beat the best that the baseline has been so far, as someone "
              "gets who stops training in time.",) if strict else (),
        figure=crossover_figure(results, study, metric, axis, rows),
        sql=(points_sql(study, metric),),
        level=3,
    )  # fmt: skip


def _trend(study: str, metric: str, rows: list[dict[str, Any]]) -> Section:
    trends = crossover_trends(rows, "unique_tokens")
    return Section(
        "How the crossover moves with unique tokens",
        text=("Groups that have not crossed count as bounds; undecided ones too, where the "
              "challenger was surely behind before.",),
        rows=tuple(_short_keys(trend_table_row(trend)) for trend in trends),
        figure=crossover_trend_figure(rows, trends),
        sql=(_stored_sql(study, metric),),
        level=3,
    )  # fmt: skip


def _map(study: str, metric: str, rows: list[dict[str, Any]]) -> Section:
    return Section(
        "Crossovers over size and unique tokens",
        text=(
            "A dashed cell is a bound, or undecided; where there is none, nothing was measured.",
        ),
        figure=map_figure(rows),
        sql=(_stored_sql(study, metric),),
        level=3,
    )


def _effective(results: Path, study: str, metric: str) -> Section:
    from workbench.report.sections import best_sql

    answers = effective_data(results, study, metric)
    own = [sentence(row["note"]) for row in answers if row["note"]]
    notes = dict.fromkeys([*notes_of(answers), *own])
    return Section(
        "What unique tokens are worth",
        text=("How many unique tokens the baseline needs to be as good.", *notes),
        rows=tuple(_short_keys(effective_table_row(row)) for row in answers),
        figure=effective_data_figure(answers),
        sql=(best_sql(study, metric),),
        level=3,
    )


def _short_keys(row: dict[str, Any]) -> dict[str, Any]:
    """The row with dotted keys shortened to their last part."""
    return {key.rpartition(".")[2] or key: value for key, value in row.items()}
