"""The sections of a study's report, from the store."""

from functools import partial
from pathlib import Path

from workbench import stages
from workbench.analysis.cost import cost_table_row, flops_to_best
from workbench.analysis.overfitting import overfitting_onset
from workbench.analysis.table_rows import onset_table_row
from workbench.figures import (
    loss_against_accuracy_figure,
    nll_gap_figure,
    onset_figure,
    paper_arrangement_figure,
    put_together_figure,
    training_flops_figure,
)
from workbench.metrics import higher_is_better
from workbench.report.comparisons import metric_sections
from workbench.report.evaluated import chosen_metrics, evaluated_metrics
from workbench.report.law_sections import backtests_section, fits_section, forecasts_section
from workbench.report.run_sections import cost_section, provenance_section, runs_section
from workbench.report.sections import Report, Section, attempt, best_sql, points_sql
from workbench.store.studies import study_head

_COLUMNS = 3
_ENDINGS = ("cloze_nll_true", "cloze_nll_other")


def study_report(results: Path, study: str, metrics: list[str] | None) -> Report:
    """The report of a study: everything that the store has of it.

    Raises:
        InputError: there is no such study, or it lacks a metric of `metrics`.
    """
    head = study_head(results, study)
    known = evaluated_metrics(results, study)
    chosen = chosen_metrics(results, study, metrics)
    missing: list[str] = []
    verdicts: list[str] = []
    stages.doing(f"{study}: runs and costs")
    runs = runs_section(results, study, missing)
    made: list[Section | None] = [runs, attempt(partial(cost_section, results, study), missing)]
    for metric in chosen:
        stages.doing(f"{study}: comparing {metric}")
        made += metric_sections(results, study, metric, verdicts, missing)
    stages.doing(f"{study}: drawing")
    made += _together(results, study, chosen, known, missing)
    made += [fits_section(results, study), backtests_section(results, study)]
    made += [forecasts_section(results, study), provenance_section(results, study)]
    if not chosen:
        missing.append("no metric to compare has been evaluated yet.")
    return Report(
        study=study,
        question=head["question"] or "",
        source=head["source"] or "",
        verdicts=tuple(verdicts),
        sections=tuple(section for section in made if section is not None),
        missing=tuple(dict.fromkeys(missing)),
    )


def _together(
    results: Path, study: str, metrics: list[str], known: list[str], missing: list[str]
) -> list[Section | None]:
    """Sections that look at several metrics, or at losses alone."""
    losses = [m for m in metrics if not higher_is_better(m) and m.startswith("val_loss")]
    accuracies = [m for m in metrics if higher_is_better(m)]
    made: list[Section | None] = []
    if metrics:
        made.append(attempt(partial(_arrangement, results, study, metrics[:_COLUMNS]), missing))
    for metric in [*losses, *accuracies][:_COLUMNS]:
        made.append(attempt(partial(_shaded, results, study, metric), missing))
    for loss in losses:
        for accuracy in accuracies:
            made.append(attempt(partial(_against, results, study, loss, accuracy), missing))
    if metrics and set(_ENDINGS) <= set(known):
        made.append(attempt(partial(_gap, results, study), missing))
    for loss in losses:
        made.append(attempt(partial(_onset, results, study, loss), missing))
    for metric in [*losses, *accuracies]:
        made.append(attempt(partial(_compute, results, study, metric), missing))
    return made


def _arrangement(results: Path, study: str, metrics: list[str]) -> Section:
    return Section(
        "All groups and metrics",
        figure=paper_arrangement_figure(results, study, metrics),
        sql=(points_sql(study, *metrics),),
    )


def _shaded(results: Path, study: str, metric: str) -> Section:
    return Section(
        f"Put together: {metric}",
        figure=put_together_figure(results, study, metric),
        sql=(points_sql(study, metric),),
    )


def _onset(results: Path, study: str, loss: str) -> Section:
    rows = overfitting_onset(results, study, loss)
    return Section(
        "Where overfitting begins" + (f": {loss}" if loss != "val_loss" else ""),
        text=("The epoch of the lowest loss; a lower bound where the loss has not risen since "
              "by more than its noise.",),
        rows=tuple(onset_table_row(row) for row in rows),
        figure=onset_figure(rows),
        sql=(best_sql(study, loss),),
    )  # fmt: skip


def _compute(results: Path, study: str, metric: str) -> Section:
    rows = flops_to_best(results, study, metric)
    return Section(
        f"What the best {metric} cost",
        rows=tuple(cost_table_row(row) for row in rows),
        figure=training_flops_figure(rows),
        sql=(best_sql(study, metric),),
    )


def _against(results: Path, study: str, loss: str, accuracy: str) -> Section:
    return Section(
        f"{accuracy} against {loss}",
        text=("A way to the right and up has a loss that rises while accuracy still improves.",),
        figure=loss_against_accuracy_figure(results, study, loss, accuracy),
        sql=(points_sql(study, loss, accuracy),),
    )


def _gap(results: Path, study: str) -> Section:
    return Section(
        "True endings, other endings, and their gap",
        text=("A question is answered by the ending of least NLL: accuracy follows the gap, "
              "which can widen while both NLLs rise.",),
        figure=nll_gap_figure(results, study, *_ENDINGS),
        sql=(points_sql(study, *_ENDINGS),),
    )  # fmt: skip
