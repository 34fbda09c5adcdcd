"""Which runs of a planned grid tell most per FLOP about the loss of its largest runs.

Sequential design: resamples of the fitted laws say how far the losses of runs go together. A run
with noise of variance s^2 shrinks the variance of another one's predicted loss by
cov^2 / (var + s^2), to first order (as in Bayesian linear experimental design). The run that
shrinks the summed variance of the targets most per FLOP is chosen, the covariances are updated as
if it had been trained, and so on while the budget lasts. A run's FLOPs are those that it would cost
now: what a chosen or finished run trains for it, on a shared trunk, is left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.laws.expected import Expected
from workbench.laws.law import Floats, Rows
from workbench.planning.plan import Plan, RunSpec

TARGET_SHARE = 0.2
"""The share of each objective's planned runs, of most compute, whose losses are to be known."""
FIRST_ROUND = 1.5
"""Configurations of the first round, as a multiple of the law's parameters."""


@dataclass(frozen=True)
class Choice:
    """A run to train next."""

    place: int
    """Of the run in the plan."""
    flops: float
    """What it costs now."""
    shrinks: float | None
    """The share of the targets' variance that it is expected to take away; None in a first
    round, before there is a law."""
    why: str


def cost_now(plan: Plan, place: int, trained: set[int]) -> float:
    """Training FLOPs of a run, less the trunk that a trained run has for it."""
    run = plan.runs[place]
    sources = plan.trunks.sources.get(str(place), ())
    shared = max((one.step for one in sources if int(one.run) in trained), default=0)
    return run.train_flops * (1 - shared / run.steps)


def first_round(plan: Plan, parameters: int) -> list[Choice]:
    """The cheapest runs of each objective that a law of so many parameters can be fitted to: every
    size and every number of unique tokens among them, and several lengths."""
    chosen: list[Choice] = []
    trained: set[int] = set()
    for objective in dict.fromkeys(run.objective for run in plan.runs):
        own = [i for i, run in enumerate(plan.runs) if run.objective == objective]
        levels = {(name, value) for i in own for name, value in _levels(plan.runs[i])}
        needed = int(np.ceil(FIRST_ROUND * parameters))
        seen: set[tuple[str, int]] = set()
        configurations: set[tuple[int, int, int]] = set()
        while own and (len(configurations) < needed or seen < levels):
            # What adds a level that is missing comes first; among these the cheapest.
            best = min(
                own,
                key=lambda i: (
                    _configuration(plan.runs[i]) in configurations,
                    len(configurations) >= needed and not set(_levels(plan.runs[i])) - seen,
                    cost_now(plan, i, trained),
                ),
            )
            if _configuration(plan.runs[best]) in configurations:
                break
            cost = cost_now(plan, best, trained)
            chosen.append(Choice(best, cost, None, "first round: the cheapest to fit a law to"))
            seen |= set(_levels(plan.runs[best]))
            configurations.add(_configuration(plan.runs[best]))
            trained.add(best)
            own.remove(best)
    return chosen


def _levels(run: RunSpec) -> list[tuple[str, int]]:
    return [("n_params", run.n_params), ("unique_tokens", run.unique_tokens)]


def _configuration(run: RunSpec) -> tuple[int, int, int]:
    return run.n_params, run.unique_tokens, run.steps


def targets(plan: Plan) -> dict[str, list[int]]:
    """By objective, the places of the planned runs of most compute."""
    found = {}
    for objective in dict.fromkeys(run.objective for run in plan.runs):
        own = [i for i, run in enumerate(plan.runs) if run.objective == objective]
        cost = np.array([6.0 * plan.runs[i].n_params * plan.runs[i].total_tokens for i in own])
        limit = np.quantile(cost, 1 - TARGET_SHARE) * (1 - 1e-9)
        found[objective] = [i for i, c in zip(own, cost, strict=True) if c >= limit]
    return found


@dataclass
class _Objective:
    """The covariances of one objective's planned losses, as far as they are known."""

    places: list[int]
    covariance: Floats
    noise: float
    target: Floats
    """One where a run is a target, else zero."""

    def gain(self, row: int) -> float:
        """By how much the targets' summed variance falls if a run is trained."""
        with_targets = self.covariance[row] * self.target
        return float((with_targets**2).sum() / (self.covariance[row, row] + self.noise))

    def train(self, row: int) -> None:
        own = self.covariance[row]
        self.covariance = self.covariance - np.outer(own, own) / (own[row] + self.noise)

    @property
    def variance(self) -> float:
        return float((np.diag(self.covariance) * self.target).sum())


def covariances(
    plan: Plan, laws: dict[str, Expected], wanted: dict[str, list[int]]
) -> dict[str, _Objective]:
    """Of each objective that has a fitted law: how its runs' predicted losses go together."""
    found = {}
    for objective, law in laws.items():
        places = [i for i, run in enumerate(plan.runs) if run.objective == objective]
        if not places:
            continue
        runs = [plan.runs[i] for i in places]
        rows = Rows.of(
            np.array([float(run.n_params) for run in runs]),
            np.array([float(run.steps * run.config.tokens_per_step) for run in runs]),
            np.array([float(run.unique_tokens) for run in runs]),
        )
        draws = law.law.log_loss(law.predictor.theta[1:], rows)
        target = np.array([float(i in set(wanted[objective])) for i in places])
        noise = float(np.var(law.residuals))
        covariance = np.atleast_2d(np.cov(draws, rowvar=False))
        found[objective] = _Objective(places, covariance, max(noise, 1e-12), target)
    return found


def next_round(
    plan: Plan, laws: dict[str, Expected], trained: Iterable[int], budget: float
) -> tuple[list[Choice], dict[str, float]]:
    """The runs to train next, the most telling per FLOP first, and by objective the expected
    error of the targets' log losses before them (root of the mean variance).

    Args:
        laws: of each objective, fitted to what is trained.
        trained: places of the plan's runs that are.
        budget: training FLOPs that the round may cost.
    """
    done = set(trained)
    wanted = targets(plan)
    known = covariances(plan, laws, wanted)
    before = {name: one.variance for name, one in known.items()}
    errors = {
        name: float(np.sqrt(one.variance / max(one.target.sum(), 1))) for name, one in known.items()
    }
    chosen: list[Choice] = []
    while True:
        best: tuple[float, str, int, float] | None = None
        for name, one in known.items():
            for row, place in enumerate(one.places):
                if place in done:
                    continue
                cost = cost_now(plan, place, done)
                if cost > budget:
                    continue
                worth = one.gain(row) / before[name] / cost
                if best is None or worth > best[0]:
                    best = worth, name, row, cost
        if best is None:
            return chosen, errors
        _, name, row, cost = best
        one = known[name]
        share = one.gain(row) / before[name]
        place = one.places[row]
        why = (
            f"expected to take {share:.1%} of the variance of the {name} losses of most compute, "
            f"for {cost:.2g} FLOPs"
        )
        chosen.append(Choice(place, cost, share, why))
        one.train(row)
        done.add(place)
        budget -= cost


def choice_row(plan: Plan, choice: Choice) -> dict[str, Any]:
    """A choice as JSON has it."""
    run = plan.runs[choice.place]
    return {
        "run_id": run.run_id,
        "objective": run.objective,
        "n_params": run.n_params,
        "unique_tokens": run.unique_tokens,
        "total_tokens": run.total_tokens,
        "seed": run.config.training.seed,
        "train_flops_now": choice.flops,
        "shrinks": choice.shrinks,
        "why": choice.why,
    }
