"""Every objective on one GPU: what would crash there, wait there, or not fit there, does so here."""

import pytest

from tests.gpu_rehearsal.conftest import Rehearse
from tests.gpu_rehearsal.properties import (
    assert_free_of_waits,
    assert_in_the_compute_type,
    assert_memory_as_planned,
    assert_nothing_fails,
)
from workbench.recipe import OBJECTIVES
from workbench.rehearsal.counts import (
    CHECKPOINT,
    FIRST,
    SAMPLING,
    TRAIN,
    TRAIN_LOGGED,
    VALIDATION,
)

pytestmark = pytest.mark.slow

PHASES = [
    FIRST, TRAIN, TRAIN_LOGGED, VALIDATION, "task cloze", "task memorisation", CHECKPOINT, SAMPLING
]  # fmt: skip


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_steps_validates_is_asked_saves_and_samples(
    rehearse: Rehearse, objective: str
) -> None:
    config, found = rehearse(f"training.objective={objective}")
    assert_nothing_fails(found)
    assert [phase.name for phase in found.phases] == PHASES
    assert_free_of_waits(found)
    assert_in_the_compute_type(found)
    assert_memory_as_planned(config, found)
    assert found.phase(TRAIN).groups["attention"].flops > 0


@pytest.mark.parametrize("objective", ["mdlm", "block"])
def test_a_compiled_run_does_the_same_products_in_fewer_kernels(
    rehearse: Rehearse, objective: str
) -> None:
    """Captured by AOTAutograd; that kernels are fewer is an estimate of what would be fused."""
    keys = (f"training.objective={objective}", "training.compile=true")
    _, eager = rehearse(keys[0])
    _, found = rehearse(*keys, compiled=True)
    assert_nothing_fails(found)
    assert_free_of_waits(found)
    assert_in_the_compute_type(found)
    step, plain = found.phase(TRAIN), eager.phase(TRAIN)
    assert step.work.flops == pytest.approx(plain.work.flops)
    assert step.work.kernels < plain.work.kernels
    assert step.work.bytes < plain.work.bytes
    assert step.peak_bytes < plain.peak_bytes
