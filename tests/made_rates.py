"""Studies in which a rate was tuned, with losses that are known parabolas in its logarithm."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.made_runs import MakeRun

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
Optima = Mapping[tuple[str, int], float]
"""By objective and parameters, the rate whose loss is lowest."""
OPTIMA: Optima = {
    ("ar", 100_000): 6e-3, ("ar", 400_000): 3e-3, ("mdlm", 100_000): 3e-3, ("mdlm", 400_000): 3e-3,
}  # fmt: skip
"""AR's falls by a step of the grid over four times the size; diffusion's stays."""
CURVATURE = 0.1
"""Of the loss in the square of log2 of the rate."""


def made_loss(rate: float, best: float, lowest: float = 2.0) -> float:
    """The loss at a rate, without noise."""
    return float(lowest + CURVATURE * np.log2(rate / best) ** 2)


def make_rates(
    make_run: MakeRun,
    optima: Optima = OPTIMA,
    *,
    rates: Sequence[float] = RATES,
    seeds: Sequence[int] = (0, 1, 2),
    noise: float = 0.002,
    study: str = "made",
    **options: Any,
) -> None:
    """One run for each objective, size, rate and seed, each. The seeds differ by 0.1, alike at all
    rates."""
    rng = np.random.default_rng(len(rates) + len(seeds))
    offsets = rng.normal(0, 0.1, len(seeds))
    for (objective, n_params), best in optima.items():
        for rate in rates:
            for seed, offset in zip(seeds, offsets, strict=True):
                last = made_loss(rate, best) + offset + rng.normal(0, noise)
                width = 16 * round(n_params / 50_000)
                make_run(
                    f"{study}-{objective}-{n_params}-{rate}-{seed}",
                    {100: last + 1.0, 200: last},
                    study=study,
                    n_params=n_params,
                    overrides=[
                        f"training.objective='{objective}'", f"training.lr={rate}",
                        f"training.seed={seed}", f"data.seed={seed}",
                        f"model.width={width}", "model.heads=1", "model.layers=1",
                    ],
                    **options,
                )  # fmt: skip
