"""Do fits find the law that made the data, and do their 95 % intervals cover it?

Losses of a grid of about 200 runs are made from each law's published values, with Gaussian noise
on log loss, and fitted. Each line tells, of one parameter over all trials: the median relative
error, the median width of the interval relative to the truth, the share of intervals that cover
the truth (an unbounded side covers everything there), and the share of fits that call the
parameter identified. Without noise, intervals shrink to rounding errors: truths within 1e-6
relative of an interval count as covered.

    python benchmarks/law_recovery.py [--trials 20] [--laws chinchilla quokka] [--noise 0 0.01]
"""

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from workbench.analysis.fitting.fit import fit_law
from workbench.analysis.fitting.options import FitOptions
from workbench.analysis.fitting.result import Fit
from workbench.analysis.fitting.table import LossTable
from workbench.analysis.law import Floats, Law, Rows
from workbench.analysis.laws import DATA_CONSTRAINED, ISOFLOP, LAWS

ISOFLOP_TRUTH = {"k_N": 0.3, "a": 0.48, "k_D": 1 / (6 * 0.3), "b": 0.52}
ROUNDING = 1e-6  # relative: what counts as equal where there is no noise


def grid() -> tuple[Floats, Floats, Floats]:
    """192 runs: sizes, total and unique tokens, from one epoch to 250."""
    n, unique, epochs = np.meshgrid(
        np.geomspace(1e7, 3e9, 8),
        np.array([1e8, 4e8, 2e9, 1e10]),
        np.array([1.0, 2.0, 5.0, 16.0, 60.0, 250.0]),
        indexing="ij",
    )
    return n.ravel(), (unique * epochs).ravel(), unique.ravel()


def profiles() -> tuple[Floats, Floats, Floats]:
    """Nine compute budgets of 20 sizes each, around sizes off their best by up to a factor 10:
    sizes, tokens and losses that are parabolas in log N."""
    compute, offset = np.meshgrid(
        np.geomspace(1e18, 1e21, 9), np.linspace(-2.3, 2.3, 20), indexing="ij"
    )
    offset = offset + 0.2 * np.sin(np.arange(9))[:, None]  # nobody centres profiles exactly
    best = ISOFLOP_TRUTH["k_N"] * compute ** ISOFLOP_TRUTH["a"]
    loss = (1.7 + 120 * compute**-0.11) * np.exp(0.03 * offset**2)
    n = best * np.exp(offset)
    return n.ravel(), (compute / (6 * n)).ravel(), loss.ravel()


def truth_of(name: str) -> dict[str, float]:
    return ISOFLOP_TRUTH if name == "isoflop" else LAWS[name].published or DATA_CONSTRAINED.published


def design(name: str, noise: float, rng: np.random.Generator) -> LossTable:
    law = LAWS[name]
    if isinstance(law, Law):
        n, d, u = grid()
        loss = law.predict(truth_of(name), Rows.of(n, d, u))
    else:
        assert law is ISOFLOP
        n, d, loss = profiles()
        u = d
    return LossTable(
        source="made",
        name=np.array([f"run {i}" for i in range(len(n))]),
        n_params=n,
        total_tokens=d,
        unique_tokens=u,
        loss=loss * np.exp(rng.normal(0, noise, len(n))),
        compute=6 * n * d,
    )


@dataclass
class Score:
    """What trials told about one parameter."""

    error: list[float] = field(default_factory=list)
    width: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    identified: list[bool] = field(default_factory=list)

    def add(self, fit: Fit, name: str, truth: float) -> None:
        self.error.append(abs(fit.params[name] / truth - 1))
        self.identified.append(fit.identified[name])
        ends = fit.ci95[name]
        if ends is None:
            self.covered.append(False)
            return
        low = -np.inf if ends[0] is None else ends[0]
        high = np.inf if ends[1] is None else ends[1]
        self.width.append((high - low) / abs(truth))
        margin = ROUNDING * abs(truth)
        self.covered.append(bool(low - margin <= truth <= high + margin))

    def line(self) -> str:
        width = np.median(self.width) if self.width else np.nan
        return (
            f"{np.median(self.error):12.2e} {width:12.2e} {np.mean(self.covered):8.0%} "
            f"{np.mean(self.identified):11.0%}"
        )


def score(name: str, noise: float, trials: int, resamples: int) -> dict[str, Score]:
    scores: dict[str, Score] = defaultdict(Score)
    for trial in range(trials):
        table = design(name, noise, np.random.default_rng([trial, round(noise * 1e6)]))
        (fit,) = fit_law(LAWS[name], table, FitOptions(resamples=resamples, seed=trial))
        for parameter, value in truth_of(name).items():
            scores[parameter].add(fit, parameter, value)
    return scores


def main() -> None:
    known = ["chinchilla", "data_constrained", "data_constrained_geometric", "quokka", "isoflop"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--laws", nargs="+", choices=known, default=known)
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0, 0.01, 0.03])
    arguments = parser.parse_args()
    print(
        f"{'law':27} {'noise':>5} {'parameter':9} {'median error':>12} {'median width':>12} "
        f"{'covered':>8} {'identified':>11}"
    )
    for name in arguments.laws:
        for noise in arguments.noise:
            began = time.perf_counter()
            # Without noise every trial has the same losses: one is all.
            trials = arguments.trials if noise else 1
            scores = score(name, noise, trials, arguments.resamples)
            for parameter, one in scores.items():
                print(f"{name:27} {noise:5.0%} {parameter:9} {one.line()}")
            seconds = time.perf_counter() - began
            print(f"  {trials} trial{'s' if trials > 1 else ''}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
