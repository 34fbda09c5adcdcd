"""What a study on shared trunks says of laws that are known: intervals, and which law it names.

Each trial makes losses from a known law on a grid as of `cpu/scaling-law`: 4 sizes, 4 budgets of
unique tokens and 5 lengths (a tenth of an epoch to a thousand), 3 seeds. The 5 lengths of one size,
budget and seed are on one trunk, whose runs share noise of 1 % of the loss; each run has 0.3 % of
its own. Of the intervals, each line tells the share of trials in which they hold a parameter, over
trunks and row by row; an unbounded side holds everything there. Of the tournament it tells how
often the true law has the lowest held-out error, is a tie with the lowest, and is the simplest
within one standard error, and what else was that.

    python -m benchmarks.law_tournament coverage [--trials 40] [--laws chinchilla quokka]
    python -m benchmarks.law_tournament tournament [--trials 20]
    python -m benchmarks.law_tournament sharing [--trials 40]
"""

import argparse
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.law_recovery import TRUTH
from workbench.laws.fitting.clusters import clusters_of
from workbench.laws.fitting.fit import _plausible
from workbench.laws.fitting.held_out import held_out_error
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.result import Fit
from workbench.laws.fitting.search import search
from workbench.laws.fitting.sharing import sharing_test
from workbench.laws.fitting.starts import make_problem
from workbench.laws.fitting.tournament import compared
from workbench.laws.fitting.uncertainty import bootstrap, interval
from workbench.laws.law import Law, Rows
from workbench.laws.registry import LAWS

SHARED, OWN = 0.01, 0.003  # standard deviations of log loss: of a trunk, of a run
# Without the geometric form of data_constrained, which no grid tells from it.
NAMES = tuple(n for n in TRUTH if isinstance(LAWS[n], Law) and not n.endswith("_geometric"))
OPTIONS = FitOptions(starts=16, cluster="trunk")


def law(name: str) -> Law:
    found = LAWS[name]
    assert isinstance(found, Law)
    return found


def design(
    name: str, rng: np.random.Generator, truth: dict[str, float], objective: str = "ar"
) -> LossTable:
    """240 runs on 48 trunks."""
    sizes, unique, lengths, seeds = (
        part.ravel()
        for part in np.meshgrid(
            np.geomspace(2e7, 2e9, 4), np.geomspace(1e8, 1e10, 4), np.geomspace(1e9, 1e11, 5),
            np.arange(3.0), indexing="ij",
        )
    )  # fmt: skip
    trunk = np.unique(np.column_stack([sizes, unique, seeds]), axis=0, return_inverse=True)[1]
    trunk = trunk.ravel()
    noise = SHARED * rng.normal(size=trunk.max() + 1)[trunk] + OWN * rng.normal(size=len(trunk))
    return LossTable(
        source="made",
        name=np.array([f"run {i}" for i in range(len(trunk))]),
        n_params=sizes,
        total_tokens=lengths,
        unique_tokens=unique,
        loss=law(name).predict(truth, Rows.of(sizes, lengths, unique)) * np.exp(noise),
        compute=6 * sizes * lengths,
        objective=np.full(len(trunk), objective),
        columns={"trunk": np.array([f"{objective} {t}" for t in trunk], dtype=object)},
    )


def coverage(name: str, trials: int, resamples: int) -> None:
    truth, names = law(name).internal(TRUTH[name]), law(name).names
    held: dict[str, list[Any]] = {"trunk": [], "none": []}
    bounded: list[Any] = []
    for trial in range(trials):
        table = replace(
            design(name, np.random.default_rng([7, trial]), TRUTH[name]), objective=None
        )
        problem = make_problem(law(name), table, OPTIONS)
        minima = search(problem, OPTIONS)
        for column in held:
            known = _plausible(problem, minima)
            spread = bootstrap(problem, known, resamples, trial, clusters_of(table, column))
            assert spread is not None
            found = [interval(problem, j, minima[0].theta, spread) for j in range(len(names))]
            low = np.array([-np.inf if ends[0] is None else ends[0] for ends in found])
            high = np.array([np.inf if ends[1] is None else ends[1] for ends in found])
            held[column].append((low <= truth) & (truth <= high))
            if column == "trunk":
                bounded.append(np.isfinite(low) & np.isfinite(high))
    shares = {column: np.mean(found, axis=0) for column, found in held.items()}
    for j, parameter in enumerate(names):
        print(
            f"{name:27} {parameter:9} over trunks {shares['trunk'][j]:4.0%} (bounded "
            f"{np.mean(bounded, axis=0)[j]:4.0%}), row by row {shares['none'][j]:4.0%}"
        )
    print(
        f"{name:27} {'mean':9} over trunks {shares['trunk'].mean():4.0%}, row by row "
        f"{shares['none'].mean():4.0%}"
    )


def one_tournament(table: LossTable) -> list[Fit]:
    """The tournament as `fit --law all` has it, without the profiles that take most of its time."""
    fits = []
    for name in NAMES:
        unseen = held_out_error(law(name), table, OPTIONS)
        assert unseen is not None
        fits.append(
            Fit(
                law=name, objective_name=None, n=len(table), loss=0.0, huber_delta=None, r2=None,
                params=dict.fromkeys(law(name).names, 0.0), ci95={}, identified={}, starts=0,
                held_out=unseen.document(), table=table, unseen=unseen,
            )
        )  # fmt: skip
    return compared(fits, OPTIONS)


def tournament_of(name: str, trials: int) -> None:
    best, tie, simplest, others = 0, 0, 0, Counter[str]()
    for trial in range(trials):
        table = replace(
            design(name, np.random.default_rng([8, trial]), TRUTH[name]), objective=None
        )
        fits = one_tournament(table)
        true = next(fit for fit in fits if fit.law == name).held_out or {}
        best += fits[0].law == name
        tie += true["tie"]
        simplest += true["simplest"]
        others.update(fit.law for fit in fits if (fit.held_out or {})["simplest"])
    print(
        f"{name:27} lowest error {best / trials:4.0%}, lowest or a tie {tie / trials:4.0%}, "
        f"simplest within one standard error {simplest / trials:4.0%} ("
        + ", ".join(f"{other} {count}" for other, count in others.most_common())
        + ")"
    )


def sharing(trials: int) -> None:
    """Two objectives of Chinchilla's law whose beta is the same, or differs by so much."""
    options = replace(OPTIONS, shared=("beta",))
    for shift in (0.0, 0.05, 0.1, 0.2):
        preferred = Counter[str]()
        for trial in range(trials):
            rng = np.random.default_rng([9, trial])
            other = {**TRUTH["chinchilla"], "E": 1.9}
            other["beta"] += shift
            other["B"] *= 1e10**shift  # as much loss due to data in the middle of the grid
            one = design("chinchilla", rng, TRUTH["chinchilla"])
            two = design("chinchilla", rng, other, "mdlm")
            names = ("name", "n_params", "total_tokens", "unique_tokens", "loss", "compute")
            parts: dict[str, Any] = {
                name: np.concatenate([getattr(one, name), getattr(two, name)]) for name in names
            }
            objective = np.repeat(["ar", "mdlm"], len(one))
            trunk = np.concatenate([one.columns["trunk"], two.columns["trunk"]])
            table = LossTable("made", **parts, objective=objective, columns={"trunk": trunk})
            unseen = held_out_error(law("chinchilla"), table, options)
            test = sharing_test(law("chinchilla"), table, options, unseen)
            assert test is not None
            preferred[test["preferred"]] += 1
        print(f"beta differs by {shift:4.2f}: shared preferred {preferred['shared'] / trials:4.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("coverage", "tournament", "sharing"))
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--laws", nargs="+", choices=NAMES, default=list(NAMES))
    arguments = parser.parse_args()
    if arguments.what == "sharing":
        sharing(arguments.trials)
        return
    run = partial(coverage, resamples=arguments.resamples)
    for name in arguments.laws:
        began = time.perf_counter()
        (run if arguments.what == "coverage" else tournament_of)(name, trials=arguments.trials)
        print(f"  {arguments.trials} trials, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
