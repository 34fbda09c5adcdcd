"""HSDP on four ranks gives the one-rank losses, and what it began goes on alone."""

import json
from pathlib import Path

import pytest

from tests.conftest import RECIPE
from tests.end_to_end.conftest import run_workbench

STEPS, STOP_AT = 8, 4
Losses = dict[tuple[str, int], float]

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """Masked diffusion with dropout: noise and masks are drawn anew in every step."""
    path = tmp_path_factory.mktemp("ranks") / "ranks.toml"
    text = RECIPE.format(corpus=corpus).replace('["ar", "mdlm"]', '["mdlm"]')
    text = text.replace("total_tokens = 6_144", f"total_tokens = {STEPS * 16 * 32}")
    text = text.replace('tasks = ["cloze"]', "tasks = []").replace("points = 3", "points = 2")
    path.write_text(text.replace("heads = 2", "heads = 2\ndropout = 0.1"))
    return path


HSDP = ("--set", "parallelism.shard=2", "--set", "parallelism.replicate=2")


@pytest.fixture(scope="module")
def moved(recipe: Path) -> Path:
    """Results of a run of 2 x 2 ranks that was stopped after step 4 and went on on one."""
    results = recipe.parent / "moved"
    arguments = ("run", recipe, "--results", results, *HSDP)
    stopped = run_workbench(
        *arguments,
        env={
            "WORKBENCH_WORKER_MODULE": "tests.end_to_end.stopped_worker",
            "STOP_AT": str(STOP_AT),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    assert stopped.returncode == 130, stopped.stderr
    (row,) = json.loads(run_workbench("status", "--results", results, "--format", "json").stdout)
    assert (row["state"], row["step"]) == ("interrupted", STOP_AT)
    refused = run_workbench(*arguments, "--ranks", "3")
    assert refused.returncode == 2
    assert "3 ranks: a run planned for 4 ranks (shard = 2, replicate = 2)" in refused.stderr
    done = run_workbench(*arguments, "--ranks", "1")
    assert done.returncode == 0, done.stderr
    return results


def losses(results: Path) -> Losses:
    done = run_workbench(
        *("sql", "SELECT metric, step, value FROM metrics WHERE metric LIKE '%_loss'"),
        *("--results", results, "--format", "json"),
    )
    return {(row["metric"], row["step"]): row["value"] for row in json.loads(done.stdout)}


def test_a_run_that_moves_from_four_ranks_to_one_keeps_its_losses(
    recipe: Path, moved: Path
) -> None:
    results = recipe.parent / "one"
    done = run_workbench("run", recipe, "--results", results)
    assert done.returncode == 0, done.stderr
    expected, resumed = losses(results), losses(moved)
    assert len([key for key in expected if key[0] == "train_loss"]) == STEPS
    assert expected.keys() == resumed.keys()
    on_four = {key for key in expected if key[1] <= STOP_AT}
    assert max(abs(expected[key] - resumed[key]) for key in on_four) < 1e-4, "HSDP"
    assert max(abs(expected[key] - resumed[key]) for key in expected.keys() - on_four) < 1e-4, (
        "moved"
    )


def test_it_is_one_run_whose_provenance_lists_both_layouts(moved: Path) -> None:
    (folder,) = (moved / "runs").iterdir()
    config = json.loads((folder / "config.json").read_text())["config"]["parallelism"]
    assert (config["shard"], config["replicate"]) == (2, 2)
    provenance = json.loads((folder / "provenance.json").read_text())
    assert [place["ranks"] for place in provenance["trained_on"]] == [4, 1]
