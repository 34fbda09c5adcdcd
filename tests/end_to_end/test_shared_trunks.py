"""Runs of several lengths that train their common beginning once."""

import json
import os
from pathlib import Path

import pytest

from tests.conftest import RECIPE
from tests.end_to_end.conftest import Records, run_workbench, stored_records
from tests.end_to_end.killed_worker import killing
from workbench.runs.checkpoints import saved_steps
from workbench.runs.folder import RunFolder, list_runs
from workbench.runs.items import read_items

LENGTHS = (12, 24, 40)
TRUNKS = (9, 18, 30)


@pytest.fixture(scope="module")
def lengths_recipe(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "lengths.toml"
    text = RECIPE.format(corpus=corpus)
    text = text.replace("points = 3", "every_tokens = 2_048")
    keys = "warmup_tokens = 1_024\ndecay_fraction = 0.25\ncheckpoint_every = 4"
    text = text.replace("log_every = 1", f"log_every = 1\n{keys}")
    longest_first = [512 * steps for steps in reversed(LENGTHS)]
    path.write_text(text + f'"training.total_tokens" = {longest_first}\n')
    return path


@pytest.fixture(scope="module")
def alone(lengths_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Results folders of the lengths, each trained without the others."""
    folders = {}
    for steps in LENGTHS:
        folders[steps] = tmp_path_factory.mktemp("alone")
        done = run_workbench(
            *("run", lengths_recipe, "--results", folders[steps]),
            *("--set", f"training.total_tokens={512 * steps}"),
        )
        assert done.returncode == 0, done.stderr
    return folders


def sources(results: Path) -> dict[tuple[str, int], tuple[int, int]]:
    """From where runs go on, (steps, step), by their own (objective, steps)."""
    runs = {run.run_id: run for run in list_runs(results)}
    found = {}
    for run in runs.values():
        document = run.config_json()
        shared = run.provenance_json().get("shared_trunk")
        if shared:
            name = document["config"]["training"]["objective"], document["derived"]["steps"]
            steps = runs[shared["run_id"]].config_json()["derived"]["steps"]
            found[name] = steps, shared["step"]
    return found


def test_a_shared_trunk_equals_separate_runs_bit_for_bit_whatever_is_killed(
    lengths_recipe: Path, alone: dict[int, Path], tmp_path: Path
) -> None:
    results, killed = tmp_path / "results", tmp_path / "killed"
    killed.mkdir()
    moments = ["inside a step", "between an evaluation and its checkpoint"]
    done = run_workbench(
        *("run", lengths_recipe, "--results", results),
        env=killing(killed, ar=moments, mdlm=["inside a checkpoint", "after a checkpoint"]),
    )
    assert done.returncode == 0, done.stderr
    assert len(list(killed.iterdir())) == 4
    expected: Records = {}
    for folder in alone.values():
        expected |= stored_records(folder)
    assert stored_records(results) == expected
    assert sources(results) == {
        (objective, steps): (before, trunk)
        for objective in ("ar", "mdlm")
        for steps, before, trunk in zip(LENGTHS[1:], LENGTHS, TRUNKS, strict=False)
    }
    for run in list_runs(results):
        steps = run.config_json()["derived"]["steps"]
        other = RunFolder(alone[steps] / "runs" / run.run_id)
        assert run.config_json() == other.config_json()
        same = read_items(run.items_dir).sort("metric", "step", "item")
        assert same.equals(read_items(other.items_dir).sort("metric", "step", "item"))


def test_checkpoints_that_nothing_goes_on_from_are_removed_and_extension_takes_the_longest(
    lengths_recipe: Path, tmp_path: Path
) -> None:
    only_ar = ("--set", "training.objective=ar", "--set", "evaluation.tasks=[]")
    done = run_workbench("run", lengths_recipe, "--results", tmp_path, *only_ar)
    assert done.returncode == 0, done.stderr
    runs = {run.config_json()["derived"]["steps"]: run for run in list_runs(tmp_path)}
    there = {steps: saved_steps(run.checkpoint_dir) for steps, run in runs.items()}
    assert 9 not in there[12]
    assert 18 not in there[24]
    assert 30 in there[40]
    done = run_workbench(
        "extend", runs[12].run_id, "--total-tokens", str(512 * 60), "--results", str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    (longer,) = [run for run in list_runs(tmp_path) if run.config_json()["derived"]["steps"] == 60]
    assert longer.config_json()["parent"] == runs[40].run_id


@pytest.mark.long
@pytest.mark.long
def test_a_run_whose_shorter_counterpart_failed_starts_alone(
    lengths_recipe: Path, alone: dict[int, Path], tmp_path: Path
) -> None:
    keys = ("--set", "training.objective=ar", "--set", "training.total_tokens=6144")
    dry = run_workbench("run", lengths_recipe, "--results", tmp_path, *keys)
    assert dry.returncode == 0, dry.stderr
    (short,) = list_runs(tmp_path)
    short.write_status(state="failed", error="as a test says")
    for step in saved_steps(short.checkpoint_dir):
        os.rename(short.checkpoint_dir / f"step-{step}", tmp_path / f"gone-{step}")
    done = run_workbench("run", lengths_recipe, "--results", tmp_path)
    assert done.returncode == 1, done.stderr
    found = sources(tmp_path)
    assert ("ar", 24) not in found
    assert found["ar", 40] == (24, 18)
    records = {**stored_records(alone[24]), **stored_records(alone[40])}
    assert records.items() <= stored_records(tmp_path).items()


def test_plan_says_what_is_shared_and_what_prevents_it(lengths_recipe: Path) -> None:
    results = lengths_recipe.parent / "none"
    done = run_workbench("plan", lengths_recipe, "--results", results, "--format", "json")
    document = json.loads(done.stdout)
    assert document["shared_tokens"] == 2 * 512 * (9 + 18)
    shared = {
        (run["objective"], run["steps"]): run.get("shared_tokens") for run in document["runs"]
    }
    assert shared["mdlm", 40] == 18 * 512
    assert shared["ar", 12] is None
    assert "Shared trunks: 4 runs go on from a shorter one" in done.stderr
    done = run_workbench(
        "plan", lengths_recipe, "--results", results, "--set", "evaluation.points=5"
    )
    assert "Shared trunks" not in done.stderr
    assert "give evaluation.every_tokens in place of evaluation.points" in done.stderr


@pytest.mark.long
def test_a_longer_study_goes_on_from_the_runs_of_a_shorter_one(
    lengths_recipe: Path, alone: dict[int, Path], tmp_path: Path
) -> None:
    for steps in (12, 24):
        done = run_workbench(
            *("run", lengths_recipe, "--results", tmp_path, "--set", "training.objective=ar"),
            *("--set", f"training.total_tokens={512 * steps}", "--set", f'study.name="s{steps}"'),
        )
        assert done.returncode == 0, done.stderr
    assert sources(tmp_path) == {("ar", 24): (12, 9)}
    (longer,) = [
        run.run_id for run in list_runs(tmp_path) if "shared_trunk" in run.provenance_json()
    ]
    stored, expected = (
        {key: value for key, value in stored_records(folder).items() if key[0] == longer}
        for folder in (tmp_path, alone[24])
    )
    assert stored == expected != {}
