"""How many times larger a parameter is for one objective than for the baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.recipe.objectives import BASELINE


@dataclass(frozen=True)
class Estimates:
    """The parameters of one fit, their 95 % intervals, and whether its data identify them."""

    params: Mapping[str, float]
    ci95: Mapping[str, tuple[float | None, float | None] | None]
    identified: Mapping[str, bool]


def parameter_ratios(fit: Estimates, baseline: Estimates) -> dict[str, dict[str, Any]]:
    """Each parameter over the baseline's, with a 95 % interval ("value", "ci95").

    Only parameters that both fits identify have a ratio. The interval is that of two independent
    estimates: half-widths of logarithms add in quadrature. Fits to runs on the same texts err
    together, which makes it a little too wide.
    """
    ratios = {}
    for name in fit.params:
        if all(one.identified.get(name) and one.params[name] > 0 for one in (fit, baseline)):
            value = fit.params[name] / baseline.params[name]
            ends = [one.ci95.get(name) for one in (fit, baseline)]
            ratios[name] = {"value": value, "ci95": _interval(value, ends)}
    return ratios


def _interval(
    value: float, intervals: list[tuple[float | None, float | None] | None]
) -> list[float] | None:
    halves = []
    for ends in intervals:
        if ends is None or ends[0] is None or ends[1] is None or ends[0] <= 0:
            return None
        halves.append(np.log(ends[1] / ends[0]) / 2)
    half = np.hypot(*halves)
    return [float(value * np.exp(-half)), float(value * np.exp(half))]


def ratios_line(ratios: dict[str, dict[str, Any]]) -> str:
    """The ratios as a sentence."""
    texts = []
    for name, ratio in ratios.items():
        ends = ratio["ci95"]
        interval = f" ({ends[0]:.3g} to {ends[1]:.3g})" if ends else ""
        texts.append(f"{name} {ratio['value']:.3g}{interval}")
    return f"Over those of {BASELINE}, with 95 % intervals of independent fits: {', '.join(texts)}."
