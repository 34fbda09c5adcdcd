"""Figures that compare: over size and unique tokens, along keys, across studies, with forecasts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from workbench import figures
from workbench.analysis.crossover import crossovers
from workbench.analysis.difference import differences
from workbench.analysis.forecast_scores import score_forecasts
from workbench.api.words import At, Axis, Definition, Over, Where, conditions
from workbench.figures.maps import Show
from workbench.figures.points import Band
from workbench.laws.held_out_fit import fit_held_out

Along = Literal["compute", "size", "unique_tokens", "epochs", "nothing"]


def _map(
    study: Any,
    show: Show = "crossover",
    metric: str = "val_loss",
    axis: Axis = "tokens",
    at: At = "last",
    facet: str | None = None,
    where: Where | None = None,
    definition: Definition | None = None,
    over: Over = "seeds+documents",
) -> figures.Figure:
    asked = study.results, study.name, metric
    chosen = conditions(where)
    rows = (
        crossovers(*asked, axis, definition=definition, over=over, where=chosen)
        if show == "crossover"
        else differences(*asked, at, over=over, where=chosen)
    )
    return figures.map_figure(rows, show, facet=facet)


def _key(
    study: Any,
    key: str = "n_params",
    metric: str = "val_loss",
    at: At = "last",
    colour: str | None = None,
    where: Where | None = None,
) -> figures.Figure:
    return figures.key_figure(
        study.results, study.name, metric, key, at, colour=colour, where=conditions(where)
    )


def _parallel(
    study: Any,
    keys: str | Sequence[str] = (),
    metric: str = "val_loss",
    at: At = "last",
    where: Where | None = None,
) -> figures.Figure:
    return figures.parallel_figure(
        study.results, study.name, metric, _several(keys), at, where=conditions(where)
    )


def _effects(
    study: Any,
    metric: str = "val_loss",
    at: At = "best",
    show: Literal["effects", "variants"] = "effects",
    reference: Mapping[str, Any] | str | None = None,
    over: Over = "seeds+documents",
    where: Where | None = None,
) -> figures.Figure:
    ask = study.effects if show == "effects" else study.variants
    rows = ask(metric, at, reference=reference, over=over, where=where).document
    return figures.effects_figure([row for row in rows if row["kind"] != "interaction"])


def _studies(
    study: Any,
    others: str | Sequence[str] = (),
    metric: str = "val_loss",
    axis: Axis = "tokens",
    facet: str | None = None,
    dash: str | None = None,
    colour: str = "study",
    band: Band = "range",
    where: Where | None = None,
) -> figures.Figure:
    return figures.studies_figure(
        study.results, [study.name, *_several(others)], metric, axis, facet=facet, dash=dash,
        colour=colour, band=band, where=conditions(where),
    )  # fmt: skip


def _law_compute(
    study: Any,
    law: str = "data_constrained",
    train: Where | None = None,
    along: Along = "compute",
    metric: str = "val_loss",
    at: At = "last",
    where: Where | None = None,
    starts: int = 32,
    resamples: int = 200,
    reach: float = 3.0,
) -> figures.Figure:
    fits = fit_held_out(
        [study.name], study.results, law, train=[train] if isinstance(train, str) else train,
        along=along, metric=metric, at=at, where=conditions(where), starts=starts,
        resamples=resamples,
    )  # fmt: skip
    return figures.law_compute_figure(fits, reach=reach)


def _forecasts(study: Any) -> figures.Figure:
    scores = score_forecasts(study.results, study.name)
    return figures.forecasts_figure(scores.rows, scores.left_out)


def _several(given: str | Sequence[str]) -> list[str]:
    """Names, of one text joined by commas or of several."""
    if isinstance(given, str):
        return [name.strip() for name in given.split(",") if name.strip()]
    return list(given)


COMPARING: dict[str, Callable[..., figures.Figure]] = {
    "map": _map,
    "key": _key,
    "parallel": _parallel,
    "effects": _effects,
    "studies": _studies,
    "law_compute": _law_compute,
    "forecasts": _forecasts,
}
"""By name, what draws a figure of a study."""
