"""From a study in the store to the sections of its report."""

from functools import partial
from pathlib import Path
from typing import Any

from workbench.analysis.crossover import bound_note, crossovers, table_row
from workbench.analysis.effective_data import effective_data
from workbench.analysis.figures import (
    crossover_figure,
    crossover_trend_figure,
    curves_figure,
    effective_data_figure,
    loss_against_accuracy_figure,
    nll_gap_figure,
    onset_figure,
    paper_arrangement_figure,
    put_together_figure,
    training_flops_figure,
)
from workbench.analysis.figures.crossovers import verdict
from workbench.analysis.figures.theme import group_text, name_of, place_text
from workbench.analysis.overfitting import overfitting_onset
from workbench.analysis.report.runs import cost_section, provenance_section, runs_section
from workbench.analysis.report.sections import Report, Section, attempt, literal
from workbench.analysis.report.stored import fits_section
from workbench.analysis.tables import effective_table_row, onset_table_row
from workbench.analysis.trends import crossover_trends
from workbench.errors import InputError
from workbench.metrics import higher_is_better
from workbench.recipe.messages import suggestion
from workbench.store import query

# Of training itself: nothing that a study compares.
_NOT_COMPARED = {"train_loss", "lr", "grad_norm", "tokens_per_second", "cloze_nll_other"}


def study_report(results: Path, study: str, metrics: list[str] | None) -> Report:
    """Everything that the store can tell of a study.

    Raises:
        InputError: no such study, or it lacks a metric that was asked for.
    """
    head = _head(results, study)
    chosen = _metrics(results, study, metrics)
    missing: list[str] = []
    made = [runs_section(results, study), attempt(lambda: cost_section(results, study), missing)]
    verdicts: list[str] = []
    for metric in chosen:
        made += _of_metric(results, study, metric, verdicts, missing)
    made += _together(results, study, chosen, missing)
    made += [fits_section(results, study), provenance_section(results, study)]
    return Report(
        study=study,
        question=head["question"] or "",
        source=head["source"] or "",
        verdicts=tuple(verdicts),
        sections=tuple(section for section in made if section is not None),
        missing=tuple(dict.fromkeys(missing)),
    )


def _head(results: Path, study: str) -> dict[str, Any]:
    frame = query(results, "SELECT study, question, source FROM studies ORDER BY study")
    rows = {row["study"]: row for row in frame.to_dicts()}
    if study not in rows:
        raise InputError(
            f"no study {study}{suggestion(study, rows) or '.'} "
            f"Studies here: {', '.join(rows) or 'none'}."
        )
    return rows[study]


def _metrics(results: Path, study: str, asked: list[str] | None) -> list[str]:
    frame = query(
        results,
        f"""SELECT DISTINCT metric FROM metrics JOIN study_runs USING (run_id)
            WHERE study = {literal(study)} ORDER BY metric""",
    )
    known = frame["metric"].to_list()
    for metric in asked or []:
        if metric not in known:
            raise InputError(
                f"study {study} has no {metric}{suggestion(metric, known) or '.'} "
                f"Its metrics: {', '.join(known) or 'none yet'}."
            )
    if asked:
        return asked
    # Losses first, then accuracies; a loss in bits a byte repeats the one in nats a token.
    compared = [name for name in known if name not in _NOT_COMPARED and not name.endswith("_bpb")]
    return sorted(compared, key=lambda name: (higher_is_better(name), name != "val_loss", name))


def _of_metric(
    results: Path, study: str, metric: str, verdicts: list[str], missing: list[str]
) -> list[Section | None]:
    """The comparison on one metric: by tokens, by epochs, by the stricter definition."""
    try:
        by_tokens = crossovers(results, study, metric, "tokens")
    except InputError as error:
        missing.append(str(error))
        return [attempt(lambda: _curves(results, study, metric), missing)]
    verdicts.append(f"{metric}: " + "; ".join(_sentence(row) for row in by_tokens) + ".")
    note = bound_note(by_tokens) if not higher_is_better(metric) else None
    sql = f"""SELECT unique_tokens, n_params, status, crossover, last_x, result->'$.ci95' AS ci95
FROM crossovers WHERE study = {literal(study)} AND metric = {literal(metric)}"""
    curve_sql = f"""SELECT run_id, objective, unique_tokens, n_params, seed, tokens, epoch, value,
       stderr, estimator
FROM curves JOIN study_runs USING (run_id)
WHERE study = {literal(study)} AND metric = {literal(metric)} ORDER BY run_id, tokens"""
    sections: list[Section | None] = [
        Section(
            f"Where diffusion overtakes: {metric}",
            text=tuple(t for t in (_methods(by_tokens), note and _sentence_case(note)) if t),
            rows=tuple(table_row(row) for row in by_tokens),
            figure=crossover_figure(results, study, metric, "tokens", by_tokens),
            sql=f"-- kept by `workbench crossover {study} --metric {metric}`\n"
            f"{sql};\n\n{curve_sql}",
        )
    ]
    for axis, title in (("epochs", "in epochs"), ("flops", "in training FLOPs")):
        sections.append(_along(results, study, metric, axis, title, missing))
    sections.append(attempt(lambda: _stricter(results, study, metric), missing))
    if len({row["group"]["unique_tokens"] for row in by_tokens}) > 1:
        sections.append(attempt(lambda: _trend(by_tokens, curve_sql), missing))
        sections.append(attempt(lambda: _effective(results, study, metric, curve_sql), missing))
    return sections


def _sentence(row: dict[str, Any]) -> str:
    said = {
        "crossed": verdict(row),
        "not_reached": f"has not overtaken by {place_text(row['last_x'], row['axis'])}",
        "ahead_throughout": "is ahead from the first point compared",
    }[row["status"]]
    return f"with {group_text(row['group'])}, {name_of(str(row['challenger']))} {said}"


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _methods(rows: list[dict[str, Any]]) -> str:
    methods = sorted({row["ci95_method"] for row in rows if row["ci95_method"]})
    notes = sorted({row["ci95_note"] for row in rows if row["ci95_note"]})
    told = f"Intervals: {'; '.join(methods)}. " if methods else ""
    return told + (f"Notes: {'; '.join(notes)}." if notes else "")


def _curves(results: Path, study: str, metric: str) -> Section:
    return Section(f"Curves: {metric}", figure=curves_figure(results, study, [metric]))


def _along(
    results: Path, study: str, metric: str, axis: str, title: str, missing: list[str]
) -> Section | None:
    def make() -> Section:
        found = crossovers(results, study, metric, axis)
        return Section(f"The same {title}", rows=tuple(table_row(row) for row in found), level=3)

    return attempt(make, missing)


def _stricter(results: Path, study: str, metric: str) -> Section:
    found = crossovers(results, study, metric, "tokens", definition="best_so_far")
    text = "Against the best that the baseline has been so far, as if its training had been "
    return Section(
        "Against early-stopped AR",
        text=(text + "stopped in time.",),
        rows=tuple(table_row(row) for row in found),
        level=3,
    )


def _trend(found: list[dict[str, Any]], sql: str) -> Section:
    trends = crossover_trends(found, "unique_tokens")
    return Section(
        "How the crossover moves with unique tokens",
        text=("Groups that have not crossed count as bounds.",),
        figure=crossover_trend_figure(found, trends),
        sql=sql,
        level=3,
    )


def _effective(results: Path, study: str, metric: str, sql: str) -> Section:
    found = effective_data(results, study, metric)
    notes = dict.fromkeys(_sentence_case(row["note"]) + "." for row in found if row["note"])
    return Section(
        "What unique tokens are worth",
        text=tuple(notes),
        rows=tuple(effective_table_row(row) for row in found),
        figure=effective_data_figure(found),
        sql=sql,
        level=3,
    )


def _together(
    results: Path, study: str, metrics: list[str], missing: list[str]
) -> list[Section | None]:
    """Sections that look at several metrics, or at losses alone."""
    losses = [m for m in metrics if not higher_is_better(m) and m.startswith("val_loss")]
    accuracies = [m for m in metrics if higher_is_better(m)]
    made: list[Section | None] = []
    if metrics:
        made.append(attempt(lambda: _arrangement(results, study, metrics), missing))
    for loss in losses:
        for make in (_shaded, _onset, _compute):
            made.append(attempt(partial(make, results, study, loss), missing))
        for accuracy in accuracies:
            made.append(attempt(partial(_against, results, study, loss, accuracy), missing))
    if "cloze_nll_true" in metrics:
        made.append(attempt(lambda: _gap(results, study), missing))
    return made


def _arrangement(results: Path, study: str, metrics: list[str]) -> Section:
    figure = paper_arrangement_figure(results, study, metrics[:3])
    return Section("All groups and metrics", figure=figure)


def _shaded(results: Path, study: str, metric: str) -> Section:
    figure = put_together_figure(results, study, metric)
    return Section(f"Put together: {metric}", figure=figure)


def _onset(results: Path, study: str, loss: str) -> Section:
    found = overfitting_onset(results, study, loss)
    return Section(
        "Where overfitting begins",
        text=("The epoch of the lowest loss; a lower bound where the loss still falls.",),
        rows=tuple(onset_table_row(row) for row in found),
        figure=onset_figure(found),
    )


def _compute(results: Path, study: str, loss: str) -> Section:
    from workbench.analysis.cost import cost_table_row, flops_to_best

    found = flops_to_best(results, study, loss)
    return Section(
        f"What the best {loss} cost",
        rows=tuple(cost_table_row(row) for row in found),
        figure=training_flops_figure(found),
        sql=f"""SELECT objective, unique_tokens, n_params, seed, value, flops
FROM best JOIN study_runs USING (run_id)
WHERE study = {literal(study)} AND metric = {literal(loss)}""",
    )


def _against(results: Path, study: str, loss: str, accuracy: str) -> Section:
    return Section(
        f"{loss} against {accuracy}",
        text=("From the open to the filled point; a way to the right and up has a loss that "
              "rises while accuracy still improves.",),
        figure=loss_against_accuracy_figure(results, study, loss, accuracy),
    )  # fmt: skip


def _gap(results: Path, study: str) -> Section:
    return Section(
        "True endings, other endings, and their gap",
        figure=nll_gap_figure(results, study),
        sql=f"""SELECT run_id, tokens, metric, value FROM curves JOIN study_runs USING (run_id)
WHERE study = {literal(study)} AND metric LIKE 'cloze_nll%' ORDER BY run_id, tokens""",
    )
