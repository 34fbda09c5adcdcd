"""Grids trained in rounds: which runs are chosen, and what they cost."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Workbench
from tests.laws.test_forecast import finish, study
from workbench.errors import InputError, WorkbenchError
from workbench.laws.adaptive import choose, train_in_rounds
from workbench.laws.design import cost_now, covariances, first_round, next_round, targets
from workbench.laws.expected import expected_losses
from workbench.planning.plan import Plan
from workbench.planning.prepare import prepare_study
from workbench.running.study import make_folders
from workbench.runs.folder import RunFolder
from workbench.store import ingest

GRID = (
    '"model.width" = [16, 32, 48, 64]\n'
    '"training.total_tokens" = [4_096, 8_192, 16_384, 32_768]\n"seed" = [0, 1]\n'
)
SHARED = ("evaluation.every_tokens=4096", "training.warmup_tokens=512")


@pytest.fixture
def plan(tmp_path: Path, corpus: Path) -> Plan:
    """A grid of 64 runs with folders, none of them trained."""
    recipe = study(tmp_path, corpus, "grid", GRID, *SHARED)
    plan = prepare_study(recipe, tmp_path / "results")
    make_folders(recipe, plan, tmp_path / "results")
    return plan


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def train(results: Path, run_ids: list[str]) -> bool:
    for run_id in run_ids:
        run = RunFolder(results / "runs" / run_id)
        if run.stored_status().state != "finished":
            finish(run, np.random.default_rng(int(run_id[:8], 16)))
    return True


def test_a_longer_run_costs_less_once_its_trunk_is_trained(plan: Plan) -> None:
    place, sources = next(iter(plan.trunks.sources.items()))
    run, source = plan.runs[int(place)], sources[0]
    assert cost_now(plan, int(place), set()) == run.train_flops
    after = cost_now(plan, int(place), {int(source.run)})
    assert after == pytest.approx(run.train_flops * (1 - source.step / run.steps))


def test_the_first_round_has_every_size_of_each_objective_and_enough_for_the_law(
    plan: Plan,
) -> None:
    chosen = first_round(plan, 5)
    runs = [plan.runs[choice.place] for choice in chosen]
    for objective in ("ar", "mdlm"):
        own = [run for run in runs if run.objective == objective]
        assert {run.n_params for run in own} == {run.n_params for run in plan.runs}
        configurations = {(run.n_params, run.steps) for run in own}
        assert len(configurations) == len(own) >= 8
    assert sum(choice.flops for choice in chosen) < 0.25 * plan.total_train_flops


def test_targets_are_the_runs_of_most_compute_of_each_objective(plan: Plan) -> None:
    for objective, places in targets(plan).items():
        compute = [run.n_params * run.total_tokens for run in plan.runs]
        own = [i for i, run in enumerate(plan.runs) if run.objective == objective]
        rest = set(own) - set(places)
        assert min(compute[i] for i in places) > max(compute[i] for i in rest)


def laws_of(results: Path, plan: Plan, count: int) -> tuple[dict, list[int]]:
    ids = [str(choice.place) for choice in first_round(plan, 5)][:count]
    train(results, [str(plan.runs[int(i)].run_id) for i in ids])
    ingest(results)
    laws, _ = expected_losses(results, {"grid": None}, "chinchilla", "val_loss", lambda text: None)
    return laws, [int(i) for i in ids]


def test_each_run_of_a_round_tells_most_per_flop_and_the_budget_holds(
    plan: Plan, results: Path
) -> None:
    laws, trained = laws_of(results, plan, 99)
    budget = 0.2 * plan.total_train_flops
    chosen, errors = next_round(plan, laws, trained, budget)
    assert set(errors) == {"ar", "mdlm"}
    assert not {choice.place for choice in chosen} & set(trained)
    assert len({choice.place for choice in chosen}) == len(chosen)
    assert sum(choice.flops for choice in chosen) <= budget
    known = covariances(plan, laws, targets(plan))
    worth = []
    for one in known.values():
        for row, place in enumerate(one.places):
            if place not in trained:
                worth.append(
                    (one.gain(row) / one.variance / cost_now(plan, place, set(trained)), place)
                )
    assert chosen[0].place == max(worth)[1]


def test_a_trained_run_leaves_less_to_know_by_what_was_expected(plan: Plan, results: Path) -> None:
    laws, _ = laws_of(results, plan, 99)
    one = covariances(plan, laws, targets(plan))["ar"]
    before, gain = one.variance, one.gain(3)
    one.train(3)
    assert one.variance == pytest.approx(before - gain)
    assert one.gain(3) < gain


def test_rounds_stay_within_the_budget_and_are_recorded_before_they_are_trained(
    plan: Plan, results: Path
) -> None:
    seen = []

    def trained(run_ids: list[str]) -> bool:
        document = json.loads((results / "designs" / "grid.json").read_text())
        seen.append([run["run_id"] for run in document["rounds"][-1]["runs"]])
        assert run_ids == seen[-1]
        return train(results, run_ids)

    budget = 0.4 * plan.total_train_flops
    design = train_in_rounds(plan, results, budget, 3, trained, law="chinchilla")
    assert len(design.rounds) == 3
    assert design.spent <= budget
    together = [run for made in seen for run in made]
    assert len(set(together)) == len(together)
    assert all("chinchilla" in text for text in design.rounds[1]["laws"].values())
    assert all(run["why"] for made in design.rounds for run in made["runs"])


def test_a_stopped_design_goes_on_with_the_round_it_was_in(plan: Plan, results: Path) -> None:
    budget = 0.4 * plan.total_train_flops
    with pytest.raises(WorkbenchError, match="round 1 is not complete"):
        train_in_rounds(plan, results, budget, 3, lambda ids: False, law="chinchilla")
    (first,) = json.loads((results / "designs" / "grid.json").read_text())["rounds"]
    asked: list[list[str]] = []

    def trained(run_ids: list[str]) -> bool:
        asked.append(run_ids)
        return train(results, run_ids)

    design = train_in_rounds(plan, results, budget, 3, trained, law="chinchilla")
    assert asked[0] == [run["run_id"] for run in first["runs"]]
    assert len(design.rounds) == 3


def test_a_budget_below_the_first_round_is_refused_with_what_it_costs(
    plan: Plan, results: Path
) -> None:
    with pytest.raises(InputError, match=r"first round alone, \d+ runs .* costs"):
        choose(plan, results, 1e6, law="chinchilla")


def test_next_for_law_lists_the_untrained_runs_with_reasons(
    plan: Plan, results: Path, workbench: Workbench
) -> None:
    laws_of(results, plan, 99)
    done = workbench(
        *("next", "grid", "--for", "law", "--budget", 0.1 * plan.total_train_flops),
        *("--results", results, "--format", "json"),
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["runs"]
    assert all("expected to take" in run["why"] for run in document["runs"])
    assert "are predicted within" in done.stderr


def test_run_refuses_a_budget_that_no_law_can_be_fitted_within(
    plan: Plan, results: Path, tmp_path: Path, workbench: Workbench
) -> None:
    keys = [word for key in ("data.unique_tokens=2048", *SHARED) for word in ("--set", key)]
    done = workbench("run", tmp_path / "grid.toml", *keys, "--budget", 1e6, "--results", results)
    assert done.returncode == 2
    assert "the first round alone" in done.stderr
    states = {RunFolder(path).stored_status().state for path in (results / "runs").iterdir()}
    assert states == {"planned"}
