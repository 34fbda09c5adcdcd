"""Several studies as one Markdown document, with its figures beside it.

What was measured is written from the store. What it means is read from a notes file, with one TOML
table for each study, whose keys become paragraphs. Of a document that is there, single studies can
be made again, and the others stay as they are written.
"""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from workbench.analysis.bounds import bound_note
from workbench.analysis.crossover import crossovers, table_row
from workbench.analysis.interval_notes import definition_notes, notes_of
from workbench.analysis.outcomes import outcome_notes, outcome_table_row, outcomes
from workbench.analysis.table_rows import without_empty_intervals
from workbench.errors import InputError, WorkbenchError
from workbench.figures import Figure, Paper, curves_figure, for_paper, put_together_figure, save
from workbench.metrics import PROTOCOL, PROTOCOLS
from workbench.recipe import load_recipe, shipped_recipes
from workbench.recipe.sides import criteria
from workbench.report.evaluated import chosen_metrics
from workbench.report.html import cell
from workbench.report.law_sections import backtests_section, fits_section, forecasts_section
from workbench.report.renewing import StudySection, read_sections, renewed
from workbench.report.sections import sentence
from workbench.report.study_notes import StudyNotes, read_notes
from workbench.runs.files import replacing
from workbench.store import query
from workbench.store.query import literal
from workbench.store.studies import study_head

_AXIS = "epochs"
_TABLES = ("data.", "model.", "training.", "evaluation.", "baseline.", "challenger.")
_MANY = 6  # configurations in one panel


@dataclass(frozen=True)
class StudyPart:
    """One study of the document."""

    study: str
    question: str
    source: str
    recipe: str | None
    cost: str
    protocol: str
    figure: Figure
    figure_file: str
    tables: tuple[tuple[str, tuple[dict[str, Any], ...], tuple[str, ...]], ...]
    """Title, rows, and what stands below: what intervals run over, runs left out."""
    lines: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]


def write_markdown(
    results: Path,
    studies: list[str],
    out: Path,
    *,
    metrics: list[str] | None = None,
    notes: Path | None = None,
    renew: bool = False,
    paper: Paper | None = None,
) -> Path:
    """Write studies as a Markdown file, and a folder of its name with their figures.

    Args:
        out: the .md file.
        renew: put these studies into a file that is there, in the places of their old sections
            or at its end, and keep its other sections.
        metrics: the metrics to cover; all that are compared by default.
        notes: a TOML file with one table for each study: see `report.study_notes`.
        paper: what figures are made for; a screen by default.

    Raises:
        InputError: there is no such study or metric, the notes cannot be read or have unknown
            keys, or the file to renew was not written by this.
        WorkbenchError: a file cannot be written.
    """
    import jinja2

    old = read_sections(out) if renew else []
    meanings = read_notes(notes, studies)
    recipes = _shipped_by_study()
    parts = [
        _part(results, study, out, metrics, recipes.get(study), meanings.get(study, StudyNotes()))
        for study in studies
    ]
    if paper is not None:
        parts = [replace(part, figure=for_paper(part.figure, paper)) for part in parts]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("workbench.report", "templates"),
        autoescape=False,  # Markdown
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["row"] = _table_line
    template = environment.get_template("study.md.jinja")
    made = [
        StudySection(
            part.study, part.question or part.study, template.render(part=part).strip() + "\n"
        )
        for part in parts
    ]
    text = environment.get_template("studies.md.jinja").render(sections=renewed(old, made))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for part in parts:
            save(part.figure, out.parent / part.figure_file)
        with replacing(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WorkbenchError(f"{out}: cannot be written: {error.strerror}.") from error
    return out


def _part(
    results: Path,
    study: str,
    out: Path,
    metrics: list[str] | None,
    recipe: str | None,
    notes: StudyNotes,
) -> StudyPart:
    head = study_head(results, study)
    chosen = chosen_metrics(results, study, list(notes.metrics) or metrics)
    if not chosen:
        raise InputError(f"study {study}: nothing has been evaluated yet. Run it first.")
    tables, lines = [], []
    for metric in chosen:
        answers = notes.chosen(outcomes(results, study, metric))
        if not answers:
            shown = " and ".join(map(str, notes.where))
            raise InputError(f"notes: {study}.where = {shown}: no configuration meets it.")
        rows = [outcome_table_row(row) for row in answers]
        which = "mean over seeds" if any(row["seeds"] > 1 for row in rows) else "one seed each"
        tables.append((f"`{metric}`, {which}", _shown_columns(rows), tuple(outcome_notes(answers))))
    for metric in chosen:
        crossing_rows = notes.chosen(_crossovers(results, study, metric))
        if not crossing_rows:
            continue
        rows = [_crossing(row) for row in crossing_rows]
        notes_below = (*definition_notes(crossing_rows), *notes_of(crossing_rows))
        title = f"Where {_sides(crossing_rows[0])}, by `{metric}`"
        tables.append((title, _shown_columns(rows), notes_below))
        strict = notes.chosen(_crossovers(results, study, metric, definition="best_so_far"))
        ahead = sum(row["status"] == "crossed" for row in strict)
        lines.append(
            f"Against the best that the baseline had been until then, by `{metric}`, "
            f"{ahead} of {len(strict)} overtake within these runs."
        )
        note = bound_note(crossing_rows)
        if note:
            lines.append(sentence(note))
    if notes.where:
        shown = " and ".join(map(str, notes.where))
        lines.insert(0, f"The tables of values and crossovers show configurations with {shown}; "
                     f"`workbench crossover {study}` shows all.")  # fmt: skip
    for asked in notes.tables:
        title, rows_asked, below = asked.made(results, study)
        tables.append((title, _shown_columns(list(rows_asked)), tuple(below)))
    backtests = partial(backtests_section, short=True)
    for make in (fits_section, backtests, forecasts_section):
        section = make(results, study)
        if section is not None and section.table:
            tables.append((section.title, section.table, section.text))
        elif section is not None:
            lines += section.text
    return StudyPart(
        study=study,
        question=head["question"] or "",
        source=head["source"] or "",
        recipe=recipe,
        cost=_cost(results, study),
        protocol=" ".join(_protocols(results, study)),
        figure=_figure(results, study, chosen),
        figure_file=f"{out.stem}/{study}.svg",
        tables=tuple(tables),
        lines=tuple(dict.fromkeys(lines)),
        notes=notes.paragraphs,
    )


def _figure(results: Path, study: str, metrics: list[str]) -> Figure:
    """All curves in one panel for each metric, or one for each objective if there are many."""
    keys = {key for row in outcomes(results, study, metrics[0]) for key in row["group"]}
    many = len(outcomes(results, study, metrics[0])) > _MANY
    if many and len(keys) <= 3:  # unique_tokens, n_params, and one more that shades can show
        return put_together_figure(results, study, metrics[0], _AXIS)
    return curves_figure(results, study, metrics, _AXIS)


def _crossovers(results: Path, study: str, metric: str, **options: Any) -> list[dict[str, Any]]:
    """The crossovers along epochs; none where no two runs make a pair."""
    try:
        return crossovers(results, study, metric, _AXIS, **options)
    except InputError:
        return []


def _shown_columns(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Rows without columns that add nothing, and with keys shortened to their last part.

    Left out are size and budget where all rows share them, and intervals where no row has one.
    """
    shared = {
        key
        for key in ("unique_tokens", "n_params")
        if len(rows) > 1 and len({row.get(key) for row in rows}) == 1
    }
    return tuple(
        {_heading(key): _none(key, value) for key, value in row.items() if key not in shared}
        for row in without_empty_intervals(rows)
    )


def _heading(key: str) -> str:
    """A key's last part, after the side that it is of, where it is of one."""
    if not key.startswith(_TABLES):
        return key
    side, _, rest = key.partition(".")
    last = key.rpartition(".")[2]
    return f"{side} {last}" if rest and side in ("baseline", "challenger") else last


def _none(key: str, value: Any) -> Any:
    return "none" if value is None and key.startswith(_TABLES) else value


def _crossing(row: dict[str, Any]) -> dict[str, Any]:
    return {**table_row(row), "seeds": row["seeds"]}


def _sides(row: dict[str, Any]) -> str:
    def name(side: str | dict[str, Any]) -> str:
        if isinstance(side, str):
            return f"`{side}`"
        return ", ".join(f"`{key} = {json.dumps(value)}`" for key, value in criteria(side).items())

    return f"{name(row['challenger'])} overtakes {name(row['baseline'])}"


def _cost(results: Path, study: str) -> str:
    (row,) = query(
        results,
        f"""WITH spent AS (SELECT run_id, max(tokens) AS tokens, max(flops) AS flops
               FROM metrics GROUP BY run_id)
            SELECT count(*) AS runs, count(DISTINCT seed) AS seeds,
                   sum(tokens)::DOUBLE AS tokens, sum(flops) AS flops,
                   count(*) FILTER (state <> 'finished') AS unfinished
            FROM runs JOIN study_runs USING (run_id) LEFT JOIN spent USING (run_id)
            WHERE study = {literal(study)}""",
    ).to_dicts()
    flops = "" if row["flops"] is None else f", {row['flops']:.2g} training FLOPs"
    tokens = f"{row['tokens']:,.0f} tokens" if row["tokens"] else "no tokens yet"
    seeds = f"{row['seeds']} seed{'s' if row['seeds'] != 1 else ''}"
    late = f", {row['unfinished']} not finished" if row["unfinished"] else ""
    return f"{row['runs']} runs, {seeds}, {tokens}{flops}{late}"


def _protocols(results: Path, study: str) -> list[str]:
    """A sentence for each evaluation protocol that the study's runs were measured by."""
    counts = query(
        results,
        f"""SELECT protocol, count(*) AS runs FROM runs JOIN study_runs USING (run_id)
            WHERE study = {literal(study)} AND protocol IS NOT NULL
            GROUP BY protocol ORDER BY protocol""",
    ).to_dicts()
    return [
        protocol_sentence(row["protocol"], row["runs"] if len(counts) > 1 else None)
        for row in counts
    ]


def protocol_sentence(protocol: int, runs: int | None = None) -> str:
    """By which evaluation protocol runs were measured, and what that was if it is an earlier one.

    Args:
        runs: how many runs, where others were measured by another.
    """
    which = "" if runs is None else f"{runs} run{'s' * (runs > 1)} "
    text = sentence(f"{which}measured by evaluation protocol {protocol}")
    if protocol == PROTOCOL:
        return text
    words = PROTOCOLS.get(protocol, "one that this version does not know")
    return (
        f"{text[:-1]}: {words}. Numbers of it are not comparable with those of protocol {PROTOCOL}."
    )


def _shipped_by_study() -> dict[str, str]:
    """The shipped recipe of each study, by the study's name."""
    return {load_recipe(name).study.name: name for name in shipped_recipes()}


def _table_line(values: Any) -> str:
    cells = (cell(value).replace("|", "\\|") for value in values)
    return "| " + " | ".join(cells) + " |"
