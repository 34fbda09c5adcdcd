"""A study of three budgets, and a figure of every kind, made once."""

from pathlib import Path
from typing import Any

import pytest

from tests.laws.fitting.conftest import law, made_table
from tests.made_runs import run_maker
from workbench import figures
from workbench.analysis.best_values import best_values
from workbench.analysis.cost import flops_to_best
from workbench.analysis.crossover import crossovers
from workbench.analysis.effective_data import effective_data
from workbench.analysis.effects import effects
from workbench.analysis.overfitting import overfitting_onset
from workbench.analysis.trends import crossover_trends
from workbench.figures import Figure
from workbench.importing.importer import import_runs
from workbench.laws.backtest import backtest, scores, splits
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.options import FitOptions
from workbench.laws.held_out_fit import HeldOutFit
from workbench.planning.flops import named_shape
from workbench.runs.records import RecordWriter
from workbench.store import ingest

STEPS = range(1, 400, 20)
AR = {s: 2.0 + abs(s - 100) / 100 for s in STEPS}
DIFFUSION = {s: 5.0 - s / 120 for s in STEPS}
FORECAST = {
    "kind": "run", "study": "made", "forecast": "f" * 12, "run_id": "a64000", "objective": "ar",
    "n_params": 181_440, "unique_tokens": 6_400, "total_tokens": 819_200, "metric": "val_loss",
    "expected": 4.0, "low": 3.5, "high": 4.5, "measured": 4.2, "error_log": -0.05, "inside": True,
    "quantile": None, "source": "a law fitted to ar",
}  # fmt: skip
TEXTS = [
    {"study": "made", "objective": objective, "group": {"unique_tokens": 6_400}, "sampler": sampler,
     "temperature": 1.0, "weights": None, "tokens": 32, "steps": steps, "seeds": 2,
     "runs": ["a64000"],
     **{key: {"mean": nll, "ci95": [nll - 0.1, nll + 0.1]}
        for key in ("nll", "entropy", "distinct", "copied", "flops")}}
    for objective, sampler, steps, nll in (("ar", None, None, 2.0), ("ar", "ar", None, 2.1),
                                           ("mdlm", "ancestral", 4, 2.9),
                                           ("mdlm", "ancestral", 32, 2.5))
]  # fmt: skip
NEVER = {s: 6.0 - s / 900 for s in STEPS}
MDLM = "training.objective='mdlm'"


def also(run: Any, **metrics: float) -> None:
    """Further metrics of a run, rising by their number over 1,000 a step."""
    writer = RecordWriter(run.records_path)
    for step in STEPS:
        for metric, start in metrics.items():
            writer.write(
                step=step, tokens=step * 2048, epoch=step * 2048 / 6400, flops=step * 1e9,
                metric=metric, value=start + step / 1000, estimator="nll/draws=1",
            )  # fmt: skip
    writer.close()


@pytest.fixture(scope="package")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three budgets, of which one does not cross, with two seeds each; and the published curves."""
    results = tmp_path_factory.mktemp("figures") / "results"
    make_run = run_maker(results)
    for unique, other in ((6_400, DIFFUSION), (12_800, DIFFUSION), (32_000, NEVER)):
        for seed in (0, 1):
            own = [f"data.unique_tokens={unique}", f"training.seed={seed}"]
            shifted = {step: value + seed / 10 for step, value in AR.items()}
            for name, values, objective_key in (("a", shifted, []), ("d", other, [MDLM])):
                run = make_run(f"{name}{unique}{seed}", values, overrides=own + objective_key)
                also(run, cloze_acc=0.3, cloze_nll_true=2.0, cloze_nll_other=2.5)
    ingest(results)
    import_runs("reference", None, results)
    return results


@pytest.fixture(scope="package")
def every(study: Path) -> dict[str, Figure]:
    rows = crossovers(study, "made", "val_loss", "tokens")
    options = FitOptions(resamples=0, starts=8)
    (fit,) = fit_law(law("chinchilla"), made_table("chinchilla", noise=0.01, sizes=4), options)
    table = made_table("chinchilla", noise=0.01, sizes=4)
    tested, _ = backtest(
        {"chinchilla": law("chinchilla")}, table, splits(table, ["size"])[0], options
    )
    reference = crossovers(study, "reference", "val_loss", "epochs", intervals=False)
    return {
        "crossover": figures.crossover_figure(study, "made", "val_loss", "tokens", rows),
        "crossover of imported": figures.crossover_figure(
            study, "reference", "val_loss", "epochs", reference
        ),
        "crossover_trend": figures.crossover_trend_figure(
            rows, crossover_trends(rows, "unique_tokens")
        ),
        "effects": figures.effects_figure(effects(study, "made")),
        "effective_data": figures.effective_data_figure(effective_data(study, "made", "val_loss")),
        "best_value": figures.best_value_figure(
            [one.row for one in best_values(study, "made", "unique_tokens")]
        ),
        "ratio": figures.effective_data_figure(
            effective_data(study, "made", "val_loss"), show="ratio"
        ),
        "curves": figures.curves_figure(study, "made", ["val_loss"], "epochs", smoothing=4.0),
        "facets": figures.curves_figure(study, "made", ["val_loss"], facet="data.unique_tokens"),
        "put_together": figures.put_together_figure(study, "made", "val_loss"),
        "paper_arrangement": figures.paper_arrangement_figure(
            study, "made", ["val_loss", "cloze_acc"]
        ),
        "loss_against_accuracy": figures.loss_against_accuracy_figure(study, "made"),
        "nll_gap": figures.nll_gap_figure(study, "made"),
        "text_quality": figures.text_quality_figure(TEXTS),
        "onset": figures.onset_figure(overfitting_onset(study, "made")),
        "training_flops": figures.training_flops_figure(flops_to_best(study, "made", "val_loss")),
        "generation_flops": figures.generation_flops_figure(named_shape("1B", 50_258)),
        "backtest": figures.backtest_figure(scores(tested)),
        "map": figures.map_figure(rows),
        "key": figures.key_figure(study, "made", "val_loss", "data.unique_tokens"),
        "parallel": figures.parallel_figure(study, "made", "val_loss"),
        "studies": figures.studies_figure(study, ["made", "reference"], "val_loss"),
        "law_compute": figures.law_compute_figure([HeldOutFit(fit)]),
        "forecasts": figures.forecasts_figure([FORECAST], {"after the fact": 1}),
        "predicted": figures.predicted_figure([fit]),
        "residuals": figures.residuals_figure([fit]),
        "contours": figures.contour_figure(fit),
        "profiles": figures.profile_figure(fit),
    }
