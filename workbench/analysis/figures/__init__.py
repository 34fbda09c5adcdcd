"""Figures: one function each, shared by the command line, the report and the app."""

from workbench.analysis.figures.crossovers import (
    crossover_figure,
    crossover_trend_figure,
    effective_data_figure,
)
from workbench.analysis.figures.curves import (
    curves_figure,
    paper_arrangement_figure,
    put_together_figure,
)
from workbench.analysis.figures.fits import (
    contour_figure,
    isoflop_figure,
    predicted_figure,
    profile_figure,
    residuals_figure,
    save_fits,
)
from workbench.analysis.figures.flops import generation_flops_figure, training_flops_figure
from workbench.analysis.figures.overfitting import (
    loss_against_accuracy_figure,
    nll_gap_figure,
    onset_figure,
)
from workbench.analysis.figures.theme import Figure, save

__all__ = [
    "Figure",
    "contour_figure",
    "crossover_figure",
    "crossover_trend_figure",
    "curves_figure",
    "effective_data_figure",
    "generation_flops_figure",
    "isoflop_figure",
    "loss_against_accuracy_figure",
    "nll_gap_figure",
    "onset_figure",
    "paper_arrangement_figure",
    "predicted_figure",
    "profile_figure",
    "put_together_figure",
    "residuals_figure",
    "save",
    "save_fits",
    "training_flops_figure",
]
