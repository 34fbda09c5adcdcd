"""What to train next: the run that tells most for its FLOPs, and advice for data and compute."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.api.answers import Answer, Interval


@dataclass(frozen=True)
class NextRun:
    """One run that would sharpen a crossover."""

    study: str
    metric: str
    axis: str
    group: dict[str, Any]
    kind: str
    """another seed, or longer."""
    set: list[str]
    """What to run the recipe with, as `--set` takes it."""
    train_flops: float
    width_now: float
    """Of the 95 % interval: the logarithm of the factor between its ends; so is the next."""
    width_expected: float
    shrink_per_flop: float
    why: str
    evidence: dict[str, Any] = field(repr=False)
    """What is known of where the crossover lies."""


@dataclass(frozen=True)
class NextRunForLaw:
    """One untrained run of the study's recipe from which a law's predictions gain."""

    run_id: str | None
    objective: str
    n_params: int
    unique_tokens: int
    total_tokens: int
    seed: int
    train_flops_now: float
    shrinks: float | None
    why: str


@dataclass(frozen=True)
class NextRunsForLaw(Answer[NextRunForLaw]):
    """The runs to train for a law, the most telling first."""

    @property
    def target_error_log(self) -> dict[str, float]:
        """By objective, how uncertain the losses of its runs of most compute are: one standard
        error of log loss."""
        return dict(self.document["target_error_log"])

    @property
    def _flat(self) -> list[dict[str, Any]]:
        return list(self.document["runs"])


@dataclass(frozen=True)
class AdvisedOption:
    """Size and epochs of one objective that promise its lowest loss."""

    objective: str
    reason: str
    """Why it is advised, or is not although its predicted loss is lower."""
    n_params: float
    n_params_ci95: Interval
    total_tokens: float
    epochs: float
    epochs_ci95: Interval
    compute_spent: float
    loss: float
    loss_ci95: Interval
    enough: dict[str, float]
    """The least compute for a loss within 0.1 % of that."""
    estimator: str
    """nll, or nelbo, an upper bound."""
    law: str
    source: str
    """Where the law comes from."""
    outside: dict[str, str]
    """By input, how far it lies outside the fitted range."""
    range_known: bool


@dataclass(frozen=True)
class Advice(Answer[AdvisedOption]):
    """What to train on the data and the compute at hand: a row an objective."""

    @property
    def choice(self) -> str:
        """The objective that is advised; `document["choice_from"]` says by what."""
        return str(self.document["choice"])

    @property
    def _flat(self) -> list[dict[str, Any]]:
        return list(self.document["options"])


def next_runs(results: Path, study: str, metric: str, axis: str) -> Answer[NextRun]:
    """Runs that would sharpen crossovers: see `Study.next_runs`."""
    from workbench.laws import next_run
    from workbench.laws.critical_source import evidence_lines

    rows = next_run.next_runs(results, study, metric, axis)
    notes = [
        "Widths are of the 95 % interval, as a factor between its ends. The first line shrinks "
        "it most per FLOP. What is known of where the first line's crossover lies:",
        *evidence_lines(rows[0]["evidence"]),
    ]
    return Answer.of(NextRun, rows, notes)


def next_runs_for_law(
    results: Path, study: str, metric: str, budget: float | None
) -> NextRunsForLaw:
    """Untrained runs that a law gains most from: see `Study.next_runs_for_law`."""
    from workbench.laws.adaptive import choose
    from workbench.laws.design import choice_row
    from workbench.planning.plan import plan_study
    from workbench.recipe import load_recipe_text
    from workbench.store.studies import study_head

    recipe = load_recipe_text(study_head(results, study)["recipe"] or "", f"study {study}")
    planned = plan_study(recipe, results)
    limit = planned.total_train_flops if budget is None else budget
    choices, _, errors = choose(planned, results, limit, metric=metric)
    rows = [choice_row(planned, choice) for choice in choices]
    notes = [
        f"{name}: the losses of its runs of most compute are predicted within {error:.2%} "
        "(one standard error)."
        for name, error in errors.items()
    ]
    document = {"runs": rows, "target_error_log": errors}
    return NextRunsForLaw.of(NextRunForLaw, rows, notes, document)


def advise(
    results: Path,
    unique_tokens: float,
    compute: float,
    *,
    study: str | None,
    params_max: float | None,
    law: str,
    fixed: Mapping[str, Any],
    metric: str,
) -> Advice:
    """Objective, size and epochs for data and compute: see `Results.advise`."""
    from workbench.analysis.forecast_scores import calibration_text, record
    from workbench.laws import advice
    from workbench.laws.evidence import gather
    from workbench.laws.predictors import published_predictors, study_predictors

    predictors = (
        published_predictors()
        if study is None
        else study_predictors(results, study, metric, law, dict(fixed))
    )
    evidence = gather(results, metric)
    answer = advice.advise(predictors, unique_tokens, compute, params_max, evidence)
    answer["forecasts"] = record(results)
    on_record = [f"On record here: {calibration_text(row)}" for row in answer["forecasts"]]
    notes = [*advice.advice_lines(answer), *on_record]
    return Advice.of(AdvisedOption, answer["options"], notes, answer)
