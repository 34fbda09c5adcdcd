"""Figures: one function each, shared by the command line, the report and the app.

`FIGURES` names them all. Each returns a `Figure`: the chart, and the data that it draws.
"""

from collections.abc import Callable
from typing import NamedTuple

from workbench.figures.arrangements import paper_arrangement_figure, put_together_figure
from workbench.figures.backtests import backtest_figure
from workbench.figures.best_values import best_value_figure
from workbench.figures.compute import generation_flops_figure, training_flops_figure
from workbench.figures.contours import contour_figure
from workbench.figures.crossovers import crossover_figure
from workbench.figures.effects import effects_figure
from workbench.figures.figure import Figure, for_paper, save
from workbench.figures.fit_folder import save_fits
from workbench.figures.forecasts import forecasts_figure
from workbench.figures.key_values import key_figure
from workbench.figures.law_against_compute import law_compute_figure
from workbench.figures.law_fits import (
    isoflop_figure,
    predicted_figure,
    profile_figure,
    residuals_figure,
)
from workbench.figures.learning_curves import curves_figure
from workbench.figures.maps import map_figure
from workbench.figures.overfitting import loss_against_accuracy_figure, nll_gap_figure, onset_figure
from workbench.figures.paper import Paper
from workbench.figures.parallel import parallel_figure
from workbench.figures.several_studies import studies_figure
from workbench.figures.text_quality import text_quality_figure
from workbench.figures.trends import crossover_trend_figure, effective_data_figure


class Entry(NamedTuple):
    """A kind of figure."""

    function: Callable[..., Figure]
    description: str


FIGURES: dict[str, Entry] = {
    "curves": Entry(curves_figure, "any metrics along any axis, smoothed or not, seeds as bands"),
    "crossover": Entry(crossover_figure, "where one objective overtakes the other"),
    "crossover_trend": Entry(crossover_trend_figure, "how crossovers move along a key"),
    "map": Entry(map_figure, "crossovers, differences or winners over size and unique tokens"),
    "studies": Entry(studies_figure, "curves of several studies, like compared with like"),
    "key": Entry(key_figure, "any key against the best or the last value, runs and means"),
    "parallel": Entry(parallel_figure, "several keys and the value, a line a configuration"),
    "effects": Entry(effects_figure, "what each swept key changes, with all else equal"),
    "onset": Entry(onset_figure, "the epoch at which each configuration starts to overfit"),
    "effective_data": Entry(effective_data_figure, "what the challenger's unique tokens are worth"),
    "best_value": Entry(best_value_figure, "a metric against a tuned key, and its lowest points"),
    "text_quality": Entry(text_quality_figure, "generated texts by denoising steps and length"),
    "loss_against_accuracy": Entry(loss_against_accuracy_figure, "both along training"),
    "nll_gap": Entry(nll_gap_figure, "NLL of true and other endings, and their gap"),
    "paper_arrangement": Entry(paper_arrangement_figure, "rows are groups, columns metrics"),
    "put_together": Entry(put_together_figure, "all groups in a panel an objective"),
    "predicted": Entry(predicted_figure, "losses that a law predicts against those seen"),
    "residuals": Entry(residuals_figure, "where a law errs"),
    "law_compute": Entry(law_compute_figure, "a law against compute, and the runs held out"),
    "forecasts": Entry(forecasts_figure, "forecasts beside what came true"),
    "backtest": Entry(backtest_figure, "what laws predicted of runs they were not fitted to"),
    "contours": Entry(contour_figure, "predicted loss over parameters and tokens"),
    "profiles": Entry(profile_figure, "what the data leave open of each parameter"),
    "isoflop": Entry(isoflop_figure, "loss against size at equal compute"),
    "generation_flops": Entry(generation_flops_figure, "what generation costs"),
    "training_flops": Entry(training_flops_figure, "what the best value cost in training"),
}

__all__ = [
    "FIGURES",
    "Figure",
    "Paper",
    "backtest_figure",
    "best_value_figure",
    "contour_figure",
    "crossover_figure",
    "crossover_trend_figure",
    "curves_figure",
    "effective_data_figure",
    "effects_figure",
    "for_paper",
    "forecasts_figure",
    "generation_flops_figure",
    "isoflop_figure",
    "key_figure",
    "law_compute_figure",
    "loss_against_accuracy_figure",
    "map_figure",
    "nll_gap_figure",
    "onset_figure",
    "paper_arrangement_figure",
    "parallel_figure",
    "predicted_figure",
    "profile_figure",
    "put_together_figure",
    "residuals_figure",
    "save",
    "save_fits",
    "studies_figure",
    "text_quality_figure",
    "training_flops_figure",
]
