"""Figures by name, of a study or of fits: each is drawn by the one function that draws it.

A `study` is an `api.study.Study` and `fits` are `api.laws.Fits`, which import this module.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Literal

from workbench import figures
from workbench.api.comparing import COMPARING
from workbench.api.figure import Figure
from workbench.api.words import Axis, Definition, Over, Side, Where, conditions
from workbench.arguments import check_arguments, option_names
from workbench.errors import InputError
from workbench.figures import Paper
from workbench.figures.learning_curves import Look
from workbench.figures.points import Band, Smoothing
from workbench.laws.fitting.result import Fit
from workbench.messages import suggestion


def study_figure(study: Any, kind: str, options: dict[str, Any]) -> Figure:
    """A study's figure: see `Study.figure`."""
    return _made(_OF_STUDIES, kind, study, options)


def fit_figure(fits: Any, kind: str, options: dict[str, Any]) -> Figure:
    """A figure of fits: see `Fits.figure`."""
    return _made(_OF_FITS, kind, fits, options)


def figure_options(kind: str) -> list[str]:
    """The options of a figure of this name."""
    return [*option_names({**_OF_STUDIES, **_OF_FITS}[kind])[1:], *_PRINTED]


def _made(
    makers: dict[str, Callable[..., figures.Figure]], kind: str, what: Any, options: dict[str, Any]
) -> Figure:
    if kind not in makers:
        if kind in _OF_FITS:
            raise InputError(f"{kind} is a figure of a fit: study.fit(...).figure({kind!r}).")
        if kind in _OF_STUDIES:
            raise InputError(f"{kind} is a figure of a study: study.figure({kind!r}).")
        raise InputError(
            f"no figure {kind}{suggestion(kind, makers) or '.'} Figures: {', '.join(makers)}."
        )
    make = makers[kind]
    known = figure_options(kind)
    for name in options:
        if name not in known:
            raise InputError(
                f"figure {kind} has no option {name}{suggestion(name, known) or '.'} "
                f"Options: {', '.join(known)}."
            )
    printed = {name: value for name, value in options.items() if name in _PRINTED}
    taken = check_arguments(make, (what,), {k: v for k, v in options.items() if k not in _PRINTED})
    paper = check_arguments(Paper.of, (), printed)
    drawn = make(*taken.args, **taken.kwargs)
    if not printed:
        return Figure(drawn)
    return Figure(figures.for_paper(drawn, Paper.of(*paper.args, **paper.kwargs)))


def _curves(
    study: Any,
    metric: str | Sequence[str] = "val_loss",
    axis: str = "tokens",
    where: Where | None = None,
    log_x: bool = True,
    log_y: bool = False,
    facet: str | None = None,
    dash: str | None = None,
    colour: str | None = None,
    smoothing: Smoothing = 0.0,
    band: Band = "range",
    x_from: float | None = None,
    x_to: float | None = None,
    single: bool = False,
) -> figures.Figure:
    return figures.curves_figure(
        study.results, study.name, _several(metric), axis, facet=facet, dash=dash, colour=colour,
        smoothing=smoothing, band=band, where=conditions(where),
        look=Look(log_x, log_y, x_from, x_to), single=single,
    )  # fmt: skip


def _crossover(
    study: Any,
    metric: str = "val_loss",
    axis: Axis = "tokens",
    definition: Definition | None = None,
    over: Over = "seeds+documents",
    baseline: Side | None = None,
    challenger: Side | None = None,
) -> figures.Figure:
    answer = study.crossovers(
        metric, axis, definition=definition, over=over, baseline=baseline, challenger=challenger
    )
    return figures.crossover_figure(study.results, study.name, metric, axis, answer.document)


def _crossover_trend(
    study: Any,
    against: str = "unique_tokens",
    metric: str = "val_loss",
    axis: Axis = "tokens",
    definition: Definition | None = None,
    over: Over = "seeds+documents",
) -> figures.Figure:
    answer = study.crossovers(metric, axis, definition=definition, over=over)
    return figures.crossover_trend_figure(answer.document, answer.trends(against).document)


def _onset(study: Any, metric: str = "val_loss") -> figures.Figure:
    return figures.onset_figure(study.overfitting(metric).document)


def _effective_data(
    study: Any,
    metric: str = "val_loss",
    at: Literal["best", "last"] = "best",
    over: Over = "seeds+documents",
) -> figures.Figure:
    return figures.effective_data_figure(study.effective_data(metric, at, over=over).document)


def _best_value(
    study: Any,
    key: str = "training.lr",
    metric: str = "val_loss",
    at: Literal["best", "last"] = "last",
    along: str | Sequence[str] = (),
    over: Over = "seeds+documents",
    where: Where | None = None,
) -> figures.Figure:
    answer = study.best_values(key, metric, at, along=_several(along), over=over, where=where)
    return figures.best_value_figure(answer.document)


def _text_quality(study: Any, where: Where | None = None) -> figures.Figure:
    return figures.text_quality_figure(study.text_quality(where=where).document)


def _loss_against_accuracy(
    study: Any,
    loss: str = "val_loss",
    accuracy: str = "cloze_acc",
    where: Where | None = None,
) -> figures.Figure:
    return figures.loss_against_accuracy_figure(
        study.results, study.name, loss, accuracy, conditions(where)
    )


def _nll_gap(
    study: Any,
    true: str = "cloze_nll_true",
    other: str = "cloze_nll_other",
    axis: Axis = "epochs",
    loss: str = "val_loss",
    where: Where | None = None,
) -> figures.Figure:
    return figures.nll_gap_figure(
        study.results, study.name, true, other, axis, loss, conditions(where)
    )


def _paper_arrangement(
    study: Any, metric: str | Sequence[str] = "val_loss", axis: Axis = "tokens"
) -> figures.Figure:
    return figures.paper_arrangement_figure(study.results, study.name, _several(metric), axis)


def _put_together(
    study: Any,
    metric: str = "val_loss",
    axis: Axis = "tokens",
    shade: str | None = None,
) -> figures.Figure:
    return figures.put_together_figure(study.results, study.name, metric, axis, shade)


def _backtest(
    study: Any,
    law: str = "all",
    train: Where | None = None,
    along: str = "all",
    metric: str = "val_loss",
    starts: int = 32,
) -> figures.Figure:
    answer = study.backtest(law, train=train, along=along, metric=metric, starts=starts)
    return figures.backtest_figure(answer.document["rows"])


def _training_flops(study: Any, metric: str = "val_loss") -> figures.Figure:
    return figures.training_flops_figure(study.flops(metric).document)


def _one(fits: Any, objective: str | None) -> Fit:
    """The fit of an objective; the only one, where none is named."""
    named = {str(fit.objective_name): fit for fit in fits}
    if objective is None and len(fits) == 1:
        return fits[0]
    if str(objective) not in named:
        raise InputError(
            f"objective {objective}{suggestion(str(objective), named) or '.'} This figure is of "
            f"one fit: give objective=, one of {', '.join(named)}."
        )
    return named[str(objective)]


def _contours(
    fits: Any, objective: str | None = None, unique_tokens: float | None = None
) -> figures.Figure:
    return figures.contour_figure(_one(fits, objective), unique_tokens)


def _profiles(fits: Any, objective: str | None = None) -> figures.Figure:
    return figures.profile_figure(_one(fits, objective))


def _isoflop(fits: Any, objective: str | None = None) -> figures.Figure:
    return figures.isoflop_figure(_one(fits, objective))


def _several(metric: str | Sequence[str]) -> list[str]:
    return [metric] if isinstance(metric, str) else list(metric)


_OF_STUDIES: dict[str, Callable[..., figures.Figure]] = {
    "curves": _curves,
    "crossover": _crossover,
    "crossover_trend": _crossover_trend,
    "onset": _onset,
    "effective_data": _effective_data,
    "best_value": _best_value,
    "text_quality": _text_quality,
    "loss_against_accuracy": _loss_against_accuracy,
    "nll_gap": _nll_gap,
    "paper_arrangement": _paper_arrangement,
    "put_together": _put_together,
    "backtest": _backtest,
    "training_flops": _training_flops,
    **COMPARING,
}
_OF_FITS: dict[str, Callable[..., figures.Figure]] = {
    "predicted": lambda fits: figures.predicted_figure(list(fits)),
    "residuals": lambda fits: figures.residuals_figure(list(fits)),
    "profiles": _profiles,
    "contours": _contours,
    "isoflop": _isoflop,
}
_PRINTED = tuple(field.name for field in fields(Paper))
"""What any figure can be given: how it is made for print."""
