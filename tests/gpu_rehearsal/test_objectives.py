"""Every objective on one GPU: what would crash, wait or not fit there does so here."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.gpu_rehearsal.conftest import RECIPE, Rehearse
from tests.gpu_rehearsal.properties import (
    assert_free_of_waits,
    assert_in_the_compute_type,
    assert_memory_as_planned,
    assert_nothing_fails,
)
from workbench.cli import app
from workbench.recipe import OBJECTIVES
from workbench.rehearsal.counts import (
    CHECKPOINT,
    FIRST,
    SAMPLING,
    TRAIN,
    TRAIN_LOGGED,
    VALIDATION,
)
from workbench.rehearsal.planned import rehearsal_table_row

pytestmark = pytest.mark.slow

PHASES = [
    FIRST, TRAIN, TRAIN_LOGGED, VALIDATION, "task cloze", "task memorisation", CHECKPOINT, SAMPLING
]  # fmt: skip


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_steps_validates_is_asked_saves_and_samples(
    rehearse: Rehearse, objective: str
) -> None:
    config, found = rehearse(f"training.objective={objective}", "evaluation.memorisation=4")
    assert_nothing_fails(found)
    assert [phase.name for phase in found.phases] == PHASES
    assert_free_of_waits(found)
    assert_in_the_compute_type(found)
    assert_memory_as_planned(config, found)
    assert found.phase(TRAIN).groups["attention"].flops > 0


@pytest.mark.parametrize("objective", [pytest.param("mdlm", marks=pytest.mark.long), "block"])
def test_a_compiled_run_does_the_same_products_in_fewer_kernels(
    rehearse: Rehearse, objective: str
) -> None:
    """Captured by AOTAutograd; that kernels are fewer is an estimate of what would be fused."""
    key = f"training.objective={objective}"
    _, eager = rehearse(key, "evaluation.memorisation=4")
    _, found = rehearse(key, "training.compile=true", compiled=True)
    assert_nothing_fails(found)
    assert_free_of_waits(found)
    assert_in_the_compute_type(found)
    step, plain = found.phase(TRAIN), eager.phase(TRAIN)
    assert step.work.flops == pytest.approx(plain.work.flops)
    assert step.work.kernels < plain.work.kernels
    assert step.work.bytes < plain.work.bytes
    assert step.peak_bytes < plain.peak_bytes


def test_a_plan_tells_programs_and_people_what_was_rehearsed(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    options = ["--rehearse", "--results", str(tmp_path), "--format", "json"]
    options += ["--set", "training.compile=false"]  # its memory is that of separate kernels
    done = CliRunner().invoke(app, ["plan", str(tmp_path / "recipe.toml"), *options])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    (row,) = document["rehearsal"]
    assert (row["fits"], row["errors"], row["rehearsed_layers"]) == (True, [], [2])
    assert row["train_peak_bytes"] == pytest.approx(row["planned_train_bytes"], rel=0.1)
    assert row["host_copies"] >= 1
    assert row["syncs"] == row["blocking_copies"] == 0
    shown = rehearsal_table_row(row)
    assert shown["fits"] == "yes"
    assert shown["kernels"] == row["kernels"]
    assert {"train peak", "evaluation peak", "host copies", "syncs"} <= shown.keys()


def test_a_compiled_mixture_sums_over_ranks_within_its_blocks(rehearse: Rehearse) -> None:
    keys = ("model.moe_experts=4", "parallelism.shard=2", "training.compile=true")
    _, found = rehearse(*keys, compiled=True, training_only=True)
    assert not [phase.error for phase in found.phases if phase.error]


def test_blocks_of_one_token_are_sampled(rehearse: Rehearse) -> None:
    _, found = rehearse("training.objective=block", "training.block_size=1")
    assert not [phase.error for phase in found.phases if phase.error]
