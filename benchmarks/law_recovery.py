"""How well fits recover laws that are known, and how often their intervals hold the truth.

Synthetic runs on a realistic grid, losses with log-normal noise, each law fitted as `workbench fit`
does. For each parameter: the median relative error, and the share of 95 % intervals that hold the
truth (an unbounded side holds it). Without noise intervals shrink to rounding, so there the errors
alone say something.

    python benchmarks/law_recovery.py --trials 40 --noise 0 0.01 0.03
"""

import argparse
import time

import numpy as np

from workbench.analysis.fitting.fit import fit_law
from workbench.analysis.fitting.options import FitOptions
from workbench.analysis.fitting.table import LossTable
from workbench.analysis.law import Law, Rows
from workbench.analysis.laws import LAWS

FITTED = ("chinchilla", "data_constrained", "data_constrained_geometric", "quokka", "isoflop")


def truth_of(name: str) -> dict[str, float]:
    law = LAWS[name]
    return dict(law.published or LAWS["data_constrained"].published)


def grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """192 runs: 8 sizes, 4 unique budgets, 6 numbers of epochs."""
    axes = (
        np.geomspace(1e7, 3e9, 8),
        np.array([1e8, 4e8, 2e9, 1e10]),
        np.array([1.0, 2.0, 5.0, 16.0, 60.0, 250.0]),
    )
    n, u, e = (part.ravel() for part in np.meshgrid(*axes, indexing="ij"))
    return n, u * e, u


def isoflop_grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """81 runs: 9 compute budgets, 9 sizes each around the best."""
    compute, offset = np.meshgrid(np.geomspace(6e18, 3e21, 9), np.linspace(-1.2, 1.2, 9))
    n = (0.1 * compute**0.5 * np.exp(offset)).ravel()
    d = compute.ravel() / 6 / n
    return n, d, d


def make(name: str, noise: float, seed: int) -> tuple[LossTable, dict[str, float]]:
    rng = np.random.default_rng([seed, round(noise * 1e6)])
    if name == "isoflop":
        n, d, u = isoflop_grid()
        chinchilla = LAWS["chinchilla"]
        assert isinstance(chinchilla, Law)
        values = chinchilla.published
        clean = chinchilla.predict(values, Rows.of(n, d, u))
        # Approach 2's exponents of a law of this form: N_opt grows as C^(beta / (alpha + beta)).
        share = values["beta"] / (values["alpha"] + values["beta"])
        truth = {"a": share, "b": 1 - share}
    else:
        n, d, u = grid()
        law = LAWS[name]
        assert isinstance(law, Law)
        truth = truth_of(name)
        clean = law.predict(truth, Rows.of(n, d, u))
    loss = clean * np.exp(rng.normal(0, noise, len(n)))
    names = np.array([f"run {i}" for i in range(len(n))])
    return LossTable("synthetic", names, n, d, u, loss, 6 * n * d), truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--laws", nargs="+", default=list(FITTED))
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0, 0.01, 0.03])
    options = parser.parse_args()
    for name in options.laws:
        for noise in options.noise:
            began = time.perf_counter()
            errors: dict[str, list[float]] = {}
            held: dict[str, list[bool]] = {}
            named: dict[str, list[bool]] = {}
            for seed in range(options.trials if noise else 1):
                table, truth = make(name, noise, seed)
                resamples = options.resamples if noise else 0
                (fit,) = fit_law(LAWS[name], table, FitOptions(resamples=resamples, starts=24))
                for parameter, value in truth.items():
                    errors.setdefault(parameter, []).append(abs(fit.params[parameter] / value - 1))
                    named.setdefault(parameter, []).append(fit.identified[parameter])
                    if noise and fit.ci95[parameter] is not None:
                        low, high = fit.ci95[parameter]
                        inside = (low is None or low <= value) and (high is None or value <= high)
                        held.setdefault(parameter, []).append(inside)
            seconds = time.perf_counter() - began
            print(f"\n{name}, noise {noise:.0%}, {seconds:.0f} s")
            for parameter, found in errors.items():
                cover = f"{np.mean(held[parameter]):6.0%}" if parameter in held else "     -"
                print(
                    f"  {parameter:6} median error {np.median(found):9.2e}   "
                    f"intervals hold the truth {cover}   "
                    f"identified {np.mean(named[parameter]):4.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
