"""Replay a finished grid round by round: how much of its FLOPs the adaptive choice needs.

    python benchmarks/replay_design.py STUDY --results results [--law saturating] [--rounds 10]

The fifth of the runs of most compute is held out and never chosen. "All others" is a fit to every
other run of the grid; the rounds are what `workbench run --budget` would have chosen, with the
losses that the runs came to. Errors are root mean squares of log loss on the runs held out. As a
check on the choice, as many rounds of runs drawn at random, of the same FLOPs, stand beside it.
"""

import argparse
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from workbench.laws.design import cost_now, first_round, next_round, targets
from workbench.laws.expected import Expected, expected_losses
from workbench.laws.fitting.study_table import study_table
from workbench.laws.request import get_law
from workbench.planning.plan import Plan, plan_study
from workbench.recipe import load_recipe_text
from workbench.store import query


class Replay:
    """A finished study, of which runs become known one after the other."""

    def __init__(self, results: Path, study: str, law: str, metric: str) -> None:
        text = query(results, f"SELECT recipe FROM studies WHERE study = '{study}'").item()
        self.plan: Plan = plan_study(load_recipe_text(text, study), results)
        self.results, self.study, self.law, self.metric = results, study, law, metric
        self.table = study_table(results, [study], metric, "final")
        finished = set(self.table.run_ids)
        self.held_out = {place for own in targets(self.plan).values() for place in own}
        self.missing = {
            place for place, run in enumerate(self.plan.runs) if run.run_id not in finished
        }
        self.others = set(range(len(self.plan.runs))) - self.held_out - self.missing

    def laws(self, known: Iterable[int]) -> dict[str, Expected]:
        ids = [str(self.plan.runs[place].run_id) for place in known]
        sources: dict[str, list[str] | None] = {self.study: ids}
        return expected_losses(self.results, sources, self.law, self.metric, lambda text: None)[0]

    def errors(self, laws: dict[str, Expected]) -> dict[str, float]:
        """By objective, the error on the runs held out."""
        ids = {str(self.plan.runs[place].run_id) for place in self.held_out}
        table = self.table.take(np.array([run in ids for run in self.table.run_ids]))
        found = {}
        for objective, law in laws.items():
            own = table.of(objective)
            predicted = law.law.log_loss(law.predictor.theta[:1], own.rows)[0]
            found[objective] = float(np.sqrt(np.mean((predicted - np.log(own.loss)) ** 2)))
        return found

    def cost(self, places: Iterable[int]) -> float:
        """FLOPs of runs trained in their order, trunks shared."""
        done: set[int] = set()
        total = 0.0
        for place in sorted(places, key=lambda p: self.plan.runs[p].steps):
            total += cost_now(self.plan, place, done)
            done.add(place)
        return total


def line(name: str, runs: int, share: float, errors: dict[str, float]) -> None:
    shown = "  ".join(f"{objective} {error:.4f}" for objective, error in sorted(errors.items()))
    print(f"{name:<12} {runs:>4} runs  {share:>6.1%} of the FLOPs  {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--law", default="data_constrained")
    parser.add_argument("--metric", default="val_loss")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--share", type=float, default=0.5, help="of all others' FLOPs, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    replay = Replay(options.results, options.study, options.law, options.metric)
    whole = replay.cost(replay.others)
    line("all others", len(replay.others), 1.0, replay.errors(replay.laws(replay.others)))
    parameters = len(get_law(options.law).parameters)  # type: ignore[union-attr]
    known = {one.place for one in first_round(replay.plan, parameters)} & replay.others
    rng = random.Random(options.seed)
    for number in range(1, options.rounds + 1):
        laws = replay.laws(known)
        line(f"round {number}", len(known), replay.cost(known) / whole, replay.errors(laws))
        drawn = drawn_at_random(replay, replay.cost(known), rng)
        line(
            "  at random", len(drawn), replay.cost(drawn) / whole, replay.errors(replay.laws(drawn))
        )
        left = options.share * whole - replay.cost(known)
        budget = left / max(options.rounds - number, 1)
        chosen, _ = next_round(
            replay.plan, laws, known | replay.held_out | replay.missing, max(budget, 0.0)
        )
        if not chosen:
            break
        known |= {choice.place for choice in chosen}


def drawn_at_random(replay: Replay, flops: float, rng: random.Random) -> set[int]:
    """Runs in random order until as many FLOPs are spent."""
    order = sorted(replay.others)
    rng.shuffle(order)
    drawn: set[int] = set()
    for place in order:
        if replay.cost(drawn | {place}) > flops:
            break
        drawn.add(place)
    return drawn


if __name__ == "__main__":
    main()
