"""Curves of several studies in one figure: like compared with like, and what is not so is named."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt

from workbench.analysis.curves import Curve, StudyCurves, chosen, load_curves
from workbench.analysis.run_keys import ALWAYS_NAMED, CHANGE_NOTHING, SEEDS
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.figures.figure import Figure
from workbench.figures.learning_curves import Loader, Look, curves_figure
from workbench.figures.points import OBJECTIVE, Band
from workbench.metrics import unit
from workbench.recipe.objectives import display_name

STUDY = "study"
"""The key of curves of several studies that colours stand for by default."""
_UNKNOWN = "not known"


def studies_figure(
    results: Path,
    studies: Sequence[str],
    metric: str,
    axis: str = "tokens",
    *,
    facet: str | None = None,
    dash: str | None = None,
    colour: str = STUDY,
    band: Band = "range",
    where: Conditions = (),
    look: Look | None = None,
    load: Loader = load_curves,
) -> Figure:
    """One metric of several studies along an axis, in the colours of their studies.

    Values are of one kind: an objective's are estimated in one way, evaluated by one protocol, and
    per token of one tokenizer where they are per token. What differs otherwise, as their text does,
    or is not known of imported runs, is named below the title. A run of two studies is drawn in
    each.

    Args:
        facet, dash, band, look, load: as of `curves_figure`; "study" is a key too.
        colour: a key that colours stand for.
        where: draw only the runs that meet these conditions.

    Raises:
        InputError: fewer than two studies, a study without the metric, or values that cannot be
            compared; the message says in what they differ.
    """
    names = list(dict.fromkeys(studies))
    if len(names) < 2:
        raise InputError("several studies: give two or more, such as `figure studies A B`.")
    loaded = [load(results, name, metric) for name in names]
    _refuse_unlike(loaded, metric)
    named = [
        replace(curve, keys={**curve.keys, STUDY: one.study})
        for one in loaded
        for curve in one.curves
    ]
    together = ", ".join(names)
    every = chosen(StudyCurves(together, metric, {}, named), where)
    implied = [key for key in _implied(every.curves) if key not in (colour, facet, dash)]
    curves = [
        replace(curve, keys={k: v for k, v in curve.keys.items() if k not in implied})
        for curve in every.curves
    ]
    figure = curves_figure(
        results, together, [metric], axis, facet=facet, dash=dash, colour=colour, band=band,
        look=look, load=lambda *_: replace(every, curves=curves),
    )  # fmt: skip
    also = [f"also differ by study: {', '.join(implied)}"] if implied else []
    return _with_notes(figure, [*_differences(loaded), *also])


def _implied(curves: Sequence[Curve]) -> list[str]:
    """The keys whose value follows from study and objective: labels that had them would say the
    study again."""
    free = {STUDY, OBJECTIVE, *ALWAYS_NAMED, *SEEDS, *CHANGE_NOTHING}
    implied = []
    for key in sorted({key for curve in curves for key in curve.keys} - free):
        values: dict[Any, set[str]] = {}
        for curve in curves:
            place = curve.keys[STUDY], curve.keys.get(OBJECTIVE)
            values.setdefault(place, set()).add(str(curve.keys.get(key)))
        objectives = {objective for _, objective in values}
        across = (
            set().union(*(own for (_, one), own in values.items() if one == objective))
            for objective in objectives
        )
        if all(len(own) == 1 for own in values.values()) and any(len(own) > 1 for own in across):
            implied.append(key)
    return implied


def _refuse_unlike(loaded: list[StudyCurves], metric: str) -> None:
    """Refuse values of several kinds.

    Raises:
        InputError: they are; the message names the kinds and the studies.
    """
    curves = [(one.study, curve) for one in loaded for curve in one.curves]
    for objective in dict.fromkeys(curve.keys.get(OBJECTIVE) for _, curve in curves):
        own = [pair for pair in curves if pair[1].keys.get(OBJECTIVE) == objective]
        found = _by_value(own, _kind)
        if len(set(found) - {_UNKNOWN}) > 1:
            raise InputError(
                f"{metric} of {display_name(str(objective))} is estimated in several ways, which "
                f"are not comparable: {_listed(found)}. Compare studies of one."
            )
    protocols = _by_value(curves, lambda curve: _text(curve.protocol))
    if len(set(protocols) - {_UNKNOWN}) > 1:
        raise InputError(
            f"{metric} was evaluated by several protocols, whose numbers are not comparable: "
            f"{_listed(protocols)}. `workbench run` measures the runs of an older one again."
        )
    if (unit(metric) or "").endswith("a token"):
        tokenizers = _by_value(curves, lambda curve: _text(curve.keys.get("data.tokenizer")))
        if len(set(tokenizers) - {_UNKNOWN}) > 1:
            raise InputError(
                f"{metric} is in {unit(metric)}, and the tokens are of several tokenizers: "
                f"{_listed(tokenizers)}. val_bpb is in bits a byte, whatever the tokenizer."
            )


def _kind(curve: Curve) -> str:
    """What an estimator estimates, without the number of its draws."""
    return (curve.estimator or _UNKNOWN).partition("/")[0]


def _tokens(curve: Curve) -> str:
    """The first digits of the hash of a run's prepared tokens."""
    return _text(curve.columns.get("data_fingerprint"))[: len(_UNKNOWN)]


def _text(value: Any) -> str:
    return _UNKNOWN if value is None else str(value)


def _by_value(
    curves: Sequence[tuple[str, Curve]], of: Callable[[Curve], str]
) -> dict[str, list[str]]:
    """The studies of each value, in their order."""
    found: dict[str, list[str]] = {}
    for study, curve in curves:
        own = found.setdefault(of(curve), [])
        if study not in own:
            own.append(study)
    return found


def _listed(found: dict[str, list[str]]) -> str:
    return "; ".join(f"{value} ({', '.join(studies)})" for value, studies in found.items())


def _differences(loaded: list[StudyCurves]) -> list[str]:
    """What is drawn together though it differs, a line each."""
    curves = [(one.study, curve) for one in loaded for curve in one.curves]
    lines: list[str] = []
    for title, of in (
        ("the text differs", lambda curve: _text(curve.keys.get("data.corpus"))),
        (
            "the prepared tokens differ",
            lambda curve: _text(curve.columns.get("data_fingerprint"))[:8],
        ),
        ("the tokenizer differs", lambda curve: _text(curve.keys.get("data.tokenizer"))),
        ("the protocol differs", lambda curve: _text(curve.protocol)),
        ("estimators differ", lambda curve: _text(curve.estimator)),
    ):
        found = _by_value(curves, of)
        every = {study for studies in found.values() for study in studies}
        # Objectives of one study may differ in it; studies must not, without being named.
        if any(set(studies) != every for studies in found.values()):
            # Another text has other tokens: once is enough.
            lines += [] if "tokens" in title and lines else [f"{title}: {_listed(found)}"]
    shared = sum(count > 1 for count in _counts(curves).values())
    lines += [f"runs of more than one of the studies: {shared}, drawn in each"] if shared else []
    return lines


def _counts(curves: Sequence[tuple[str, Curve]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for _, curve in curves:
        counts[curve.run_id] = counts.get(curve.run_id, 0) + 1
    return counts


def _with_notes(figure: Figure, notes: list[str]) -> Figure:
    """The figure with further lines below its title."""
    chart: Any = figure.chart
    title = chart.title
    given = title.subtitle if isinstance(title, alt.TitleParams) else []
    lines = [given] if isinstance(given, str) else list(given or [])
    title.subtitle = [line for line in [*lines, *notes] if line]
    return figure
