"""How well fits recover laws that are known, and how often their intervals hold the truth.

Losses of a grid of about 200 runs are made from known parameters, none of them a published value
(a search that starts there would find it), with Gaussian noise on log loss. Each line tells, of
one parameter over all trials: the median relative error, the median width of the 95 % interval
relative to the truth, the share of intervals that hold the truth (an unbounded side holds
everything there), and the share that is bounded on both sides. Without noise intervals shrink to
rounding errors: a truth within 1e-6 relative of one counts as held.

    python benchmarks/law_recovery.py [--trials 20] [--laws chinchilla quokka] [--noise 0 0.01]
"""

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from workbench.laws.fitting.fit import _plausible
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.search import search
from workbench.laws.fitting.starts import make_problem
from workbench.laws.fitting.uncertainty import bootstrap, interval
from workbench.laws.law import Floats, Law, Rows
from workbench.laws.registry import LAWS

_SUM = {"E": 1.7, "A": 350.0, "B": 900.0, "alpha": 0.33, "beta": 0.31}
TRUTH = {
    "chinchilla": _SUM,
    "data_constrained": {**_SUM, "R_D": 9.0, "R_N": 3.5},
    "data_constrained_geometric": {**_SUM, "R_D": 9.0, "R_N": 3.5},
    "quokka": {
        "A": 1000.0, "B": 40.0, "alpha": 0.4, "beta": 0.12, "gain": 1.3, "decay": 0.5,
        "k": 150.0, "mu": 0.35, "nu": 0.5,
    },
    "overfitting_penalty": {**_SUM, "P": 0.004, "delta": 0.8, "kappa": 0.4},
    "data_constrained_penalty": {**_SUM, "R_D": 9.0, "P": 0.004, "delta": 0.8, "kappa": 0.4},
    "saturating": {
        "E": 1.3, "G": 6.0, "a": 60.0, "b": 150.0, "c": 2.0, "alpha": 0.33, "beta": 0.31,
        "gamma": 0.3, "delta": 0.45,
    },
    "critical_compute": {"k": 3e3, "p": 1.8},
    "isoflop": {"k_N": 0.3, "a": 0.48, "k_D": 1 / (6 * 0.3), "b": 0.52},
}  # fmt: skip
Ends = tuple[float | None, float | None] | None
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
    best = TRUTH["isoflop"]["k_N"] * compute ** TRUTH["isoflop"]["a"]
    loss = (1.7 + 120 * compute**-0.11) * np.exp(0.03 * offset**2)
    n = best * np.exp(offset)
    return n.ravel(), (compute / (6 * n)).ravel(), loss.ravel()


def races() -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Six budgets of unique tokens with 24 runs of each objective around the critical compute,
    the challenger's loss falling faster: sizes, tokens, unique tokens, losses, and which are the
    challenger's."""
    unique, distance, challenger = np.meshgrid(
        np.geomspace(1e8, 3e10, 6), np.linspace(-3.4, 3.4, 24), [0.0, 1.0], indexing="ij"
    )
    truth = TRUTH["critical_compute"]
    compute = truth["k"] * unique ** truth["p"] * np.exp(distance)
    loss = 2.5 - np.where(challenger == 1, 0.15, 0.05) * distance
    n = np.sqrt(compute / 120)
    return tuple(x.ravel() for x in (n, compute / (6 * n), unique, loss, challenger))  # type: ignore[return-value]


def noisy_table(
    n: Floats,
    d: Floats,
    unique: Floats,
    loss: Floats,
    noise: float,
    rng: np.random.Generator,
    objective: np.ndarray | None = None,
) -> LossTable:
    """Runs of these sizes and tokens, with Gaussian noise on log loss."""
    return LossTable(
        source="made",
        name=np.array([f"run {i}" for i in range(len(n))]),
        n_params=n,
        total_tokens=d,
        unique_tokens=unique,
        loss=loss * np.exp(rng.normal(0, noise, len(n))),
        compute=6 * n * d,
        objective=objective,
    )


def design(name: str, noise: float, rng: np.random.Generator) -> LossTable:
    law, objective = LAWS[name], None
    if isinstance(law, Law):
        n, d, u = grid()
        loss = law.predict(TRUTH[name], Rows.of(n, d, u))
    elif name == "critical_compute":
        n, d, u, loss, challenger = races()
        objective = np.where(challenger == 1, "mdlm", "ar")
    else:
        n, d, loss = profiles()
        u = d
    return noisy_table(n, d, u, loss, noise, rng, objective)


def estimate(
    name: str, table: LossTable, options: FitOptions
) -> tuple[dict[str, float], dict[str, Ends]]:
    """Parameters and intervals as `fit_law` finds them, without the profiles and checks that it
    adds and that take most of its time."""
    law = LAWS[name]
    if not isinstance(law, Law):
        (fit,) = law.fit(table, options)
        return fit.params, fit.ci95
    problem = make_problem(law, table, options)
    minima = search(problem, options)
    spread = bootstrap(problem, _plausible(problem, minima), options.resamples, options.seed)
    assert spread is not None
    values: dict[str, float] = {}
    ends: dict[str, Ends] = {}
    for j, parameter in enumerate(law.parameters):
        values[parameter.name] = float(parameter.to_value(minima[0].theta[j]))
        low, high = interval(problem, j, minima[0].theta, spread)
        ends[parameter.name] = (
            None if low is None else float(parameter.to_value(np.array(low))),
            None if high is None else float(parameter.to_value(np.array(high))),
        )
    return values, ends


@dataclass
class Score:
    """What trials told about one parameter."""

    error: list[float] = field(default_factory=list)
    width: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    bounded: list[bool] = field(default_factory=list)

    def add(self, value: float, ends: Ends, truth: float) -> None:
        self.error.append(abs(value / truth - 1))
        low, high = ends or (None, None)
        self.bounded.append(low is not None and high is not None)
        low = -np.inf if low is None else low
        high = np.inf if high is None else high
        self.width.append((high - low) / abs(truth))
        margin = ROUNDING * abs(truth)
        self.held.append(bool(low - margin <= truth <= high + margin))

    def line(self) -> str:
        return (
            f"{np.median(self.error):12.1e} {np.median(self.width):12.1e} "
            f"{np.mean(self.held):6.0%} {np.mean(self.bounded):8.0%}"
        )


def score(name: str, noise: float, trials: int, resamples: int) -> dict[str, Score]:
    scores: dict[str, Score] = defaultdict(Score)
    for trial in range(trials):
        table = design(name, noise, np.random.default_rng([trial, round(noise * 1e6)]))
        options = FitOptions(resamples=resamples, starts=32, seed=trial)
        values, ends = estimate(name, table, options)
        for parameter, truth in TRUTH[name].items():
            scores[parameter].add(values[parameter], ends[parameter], truth)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--laws", nargs="+", choices=list(TRUTH), default=list(TRUTH))
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0, 0.01, 0.03])
    arguments = parser.parse_args()
    print(
        f"{'law':27} {'noise':>5} {'parameter':9} {'median error':>12} {'median width':>12} "
        f"{'held':>6} {'bounded':>8}"
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
