"""A planned grid trained in rounds within a budget: each round's runs are chosen by what the laws
fitted so far leave open.

`results/designs/STUDY.json` records each round as it is chosen: the runs, what each was expected to
tell, the laws, and how uncertain the largest runs' losses were. So the same command goes on where
it was stopped.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.laws.comparable_runs import comparable_runs
from workbench.laws.design import Choice, choice_row, first_round, next_round
from workbench.laws.expected import BEST, Expected, Say, expected_losses
from workbench.laws.law import Law
from workbench.laws.registry import LAWS
from workbench.laws.request import get_law
from workbench.planning.plan import Plan
from workbench.runs.files import read_json, write_json
from workbench.runs.folder import RunFolder
from workbench.store import ingest

_FIRST_LAW = "data_constrained"
"""Of as many parameters as this law has, where none is named, the first round is made."""


class Design:
    """The rounds of one study, on disk."""

    def __init__(self, results: Path, study: str, budget: float, rounds: int) -> None:
        """Read what is there; `budget` and `rounds` are those of the request that goes on."""
        self.path = results / "designs" / f"{study}.json"
        self.budget, self.planned_rounds = budget, rounds
        self.rounds: list[dict[str, Any]] = []
        if self.path.exists():
            self.rounds = list(read_json(self.path).get("rounds", []))

    @property
    def spent(self) -> float:
        return sum(run["train_flops_now"] for made in self.rounds for run in made["runs"])

    @property
    def share(self) -> float:
        """FLOPs of the next round: what is left, divided by the rounds that are left."""
        left = max(self.planned_rounds - len(self.rounds), 1)
        return max(self.budget - self.spent, 0.0) / left

    def record(self, plan: Plan, choices: list[Choice], laws: dict[str, Expected],
               errors: dict[str, float]) -> None:  # fmt: skip
        """Write a round down, before any of its runs starts."""
        self.rounds.append(
            {
                "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "spent_before": self.spent,
                "laws": {name: one.source for name, one in laws.items()},
                "target_error_log": errors,
                "runs": [choice_row(plan, choice) for choice in choices],
            }
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkbenchError(
                f"{self.path.parent}: cannot be made: {error.strerror}."
            ) from error
        document = {"schema": 1, "budget": self.budget, "rounds": self.rounds}
        write_json(self.path, document)


def choose(
    plan: Plan, results: Path, budget: float, *, law: str = BEST, metric: str = "val_loss",
    say: Say = lambda text: None,
) -> tuple[list[Choice], dict[str, Expected], dict[str, float]]:  # fmt: skip
    """The next round within a budget of FLOPs: its runs, the laws that chose them, and the expected
    errors of the largest runs' log losses, by objective. A first round where no law can be fitted.

    Raises:
        InputError: the first round alone costs more than the budget.
    """
    trained = _trained(plan, results)
    sources: dict[str, list[str] | None] = dict(comparable_runs(results, plan.runs))
    laws, _ = expected_losses(results, sources, law, metric, say)
    objectives = {run.objective for run in plan.runs}
    if objectives <= laws.keys():
        choices, errors = next_round(plan, laws, trained, budget)
        return choices, laws, errors
    named = get_law(_FIRST_LAW if law == BEST else law)
    assert isinstance(named, Law)
    first = [one for one in first_round(plan, len(named.parameters)) if one.place not in trained]
    cost = sum(choice.flops for choice in first)
    if not first:
        raise InputError(
            f"study {plan.study}: its finished runs do not determine a law of each objective, and "
            "the grid has no further runs for that. Add sizes, lengths or unique tokens."
        )
    if cost > budget:
        raise InputError(
            f"--budget {budget:g}: the first round alone, {len(first)} runs that a law can be "
            f"fitted to, costs {cost:.3g} FLOPs. Give more than that, or cheaper runs."
        )
    return first, {}, {}


def _trained(plan: Plan, results: Path) -> set[int]:
    return {
        place
        for place, run in enumerate(plan.runs)
        if (folder := RunFolder(results / "runs" / str(run.run_id))).config_path.exists()
        and folder.stored_status().state == "finished"
    }


def train_in_rounds(
    plan: Plan,
    results: Path,
    budget: float,
    rounds: int,
    train: Callable[[list[str]], bool],
    *,
    law: str = BEST,
    metric: str = "val_loss",
    say: Say = lambda text: None,
) -> Design:
    """Choose and train round after round until the budget is spent or the grid is trained.

    Args:
        train: trains the runs of these ids to their end, and returns whether all finished.

    Raises:
        InputError: see `choose`.
        WorkbenchError: a run of a round did not finish.
    """
    if law != BEST and (law not in LAWS or not isinstance(LAWS[law], Law)):
        get_law(law)
        raise InputError(f"--law {law}: it predicts no losses.")
    design = Design(results, plan.study, budget, rounds)
    if design.rounds:
        _train(design, train)  # what an earlier command left unfinished
    while design.spent < budget and len(design.rounds) < rounds:
        ingest(results)
        first = not design.rounds
        share = budget if first else design.share
        choices, laws, errors = choose(plan, results, share, law=law, metric=metric, say=say)
        if not choices:
            break
        design.record(plan, choices, laws, errors)
        _say_round(design, say)
        _train(design, train)
    ingest(results)
    return design


def _train(design: Design, train: Callable[[list[str]], bool]) -> None:
    ids = [str(run["run_id"]) for run in design.rounds[-1]["runs"]]
    if not train(ids):
        raise WorkbenchError(
            f"round {len(design.rounds)} is not complete: not all of its runs have finished. "
            "`workbench retry` starts those again that failed; then give the same command."
        )


def _say_round(design: Design, say: Say) -> None:
    made = design.rounds[-1]
    flops = sum(run["train_flops_now"] for run in made["runs"])
    errors = ", ".join(f"{name} {error:.2%}" for name, error in made["target_error_log"].items())
    known = f"; error expected of the largest runs' losses now: {errors}" if errors else ""
    say(f"round {len(design.rounds)}: {len(made['runs'])} runs, {flops:.3g} FLOPs{known}")
