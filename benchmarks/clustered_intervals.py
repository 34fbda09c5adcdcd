"""How often a law's intervals hold the truth where rows share their noise.

Losses of `chinchilla` with known parameters, with noise of 1 % that the runs of one cluster share
and of 0.3 % of each run's own. Clusters are sizes, of 8 runs each, or seeds, each on the same 25
runs. Each line tells, of intervals row by row and over clusters, the share of trials in which they
hold each parameter, and their median width (of scales, in logarithms).

    python benchmarks/clustered_intervals.py size 8 [--trials 100]
    python benchmarks/clustered_intervals.py seed 5
"""

import argparse

import numpy as np

from workbench.laws.chinchilla import CHINCHILLA
from workbench.laws.fitting.clusters import clusters_of
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.search import search
from workbench.laws.fitting.starts import make_problem
from workbench.laws.fitting.uncertainty import bootstrap, interval
from workbench.laws.law import Rows

TRUTH = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
SHARED, OWN = 0.01, 0.003  # standard deviations of log loss


def design(kind: str, count: int, rng: np.random.Generator) -> LossTable:
    sizes, lengths, repeats = (count, 8, 1) if kind == "size" else (5, 5, count)
    n = np.tile(np.repeat(np.geomspace(2e7, 2e9, sizes), lengths), repeats)
    d = np.tile(np.geomspace(3e8, 3e10, lengths), sizes * repeats)
    cluster = np.repeat(np.arange(count), len(n) // count)
    noise = SHARED * rng.normal(size=count)[cluster] + OWN * rng.normal(size=len(n))
    return LossTable(
        source="made",
        name=np.array([f"run {i}" for i in range(len(n))]),
        n_params=n,
        total_tokens=d,
        unique_tokens=d,
        loss=CHINCHILLA.predict(TRUTH, Rows.of(n, d, d)) * np.exp(noise),
        compute=6 * n * d,
        columns={"cluster": cluster.astype(object)},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("size", "seed"))
    parser.add_argument("count", type=int, help="clusters")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--resamples", type=int, default=300)
    arguments = parser.parse_args()
    truth, names = CHINCHILLA.internal(TRUTH), CHINCHILLA.names
    held: dict[str, list[list[bool]]] = {"none": [], "cluster": []}
    width: dict[str, list[list[float]]] = {"none": [], "cluster": []}
    for trial in range(arguments.trials):
        table = design(arguments.kind, arguments.count, np.random.default_rng(trial))
        problem = make_problem(CHINCHILLA, table, FitOptions())
        best = search(problem, FitOptions(starts=8))[0].theta
        for column in held:
            clusters = clusters_of(table, column)
            spread = bootstrap(problem, best[None], arguments.resamples, trial, clusters)
            assert spread is not None
            found = [interval(problem, j, best, spread) for j in range(len(names))]
            low = np.array([-np.inf if ends[0] is None else ends[0] for ends in found])
            high = np.array([np.inf if ends[1] is None else ends[1] for ends in found])
            held[column].append(((low <= truth) & (truth <= high)).tolist())
            width[column].append((high - low).tolist())
    print(f"{arguments.count} clusters ({arguments.kind}), {arguments.trials} trials")
    for column, label in (("none", "row by row"), ("cluster", "over clusters")):
        shares, widths = np.mean(held[column], axis=0), np.median(width[column], axis=0)
        each = zip(names, shares, widths, strict=True)
        print(f"{label:14}" + ", ".join(f"{n} {share:.0%} ({w:.3g})" for n, share, w in each))


if __name__ == "__main__":
    main()
