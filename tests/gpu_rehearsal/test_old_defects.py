"""The properties fail when a defect is put back that would have met the first GPU."""

import pytest

from tests.gpu_rehearsal.conftest import Rehearse
from tests.gpu_rehearsal.properties import (
    assert_free_of_waits,
    assert_in_the_compute_type,
    assert_memory_as_planned,
    assert_nothing_fails,
)
from workbench.rehearsal.counts import TRAIN, VALIDATION

pytestmark = pytest.mark.slow
BROKEN = "tests.gpu_rehearsal.broken"
LAYERS, MICRO_BATCHES = 2, 2  # of the recipe in conftest.py


@pytest.fixture
def broken(rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch):
    """Rehearse with a defect put back."""

    def rehearsed(defect: str, *keys: str, **options: bool):
        monkeypatch.setenv("DEFECT", defect)
        return rehearse(*keys, program=BROKEN, **options)

    return rehearsed


def test_masks_of_float32_are_seen(broken) -> None:
    _, found = broken("float32_masks", training_only=True)
    assert_nothing_fails(found)
    with pytest.raises(AssertionError):
        assert_in_the_compute_type(found)
    assert {mask.what for mask in found.phase(TRAIN).masks} == {"float32 mask, bfloat16 queries"}


def test_copies_that_the_host_waits_for_are_seen(broken) -> None:
    _, found = broken("unpinned_copies", "training.seed=1", training_only=True)
    with pytest.raises(AssertionError):
        assert_free_of_waits(found)
    assert found.phase(TRAIN).blocking_copies == 6 * MICRO_BATCHES


def test_a_number_copied_to_the_device_in_each_layer_is_seen(broken) -> None:
    keys = ("model.moe_experts=4", "model.ffn=512")
    _, found = broken("number_of_the_host_in_routers", *keys, training_only=True)
    with pytest.raises(AssertionError):
        assert_free_of_waits(found)
    assert found.phase(TRAIN).blocking_copies == LAYERS * MICRO_BATCHES


def test_validation_by_the_batch_of_all_ranks_is_seen(broken) -> None:
    keys = ("parallelism.shard=16", "training.batch_size=512", "training.micro_batch_size=16")
    config, found = broken("global_batch_in_validation", *keys)
    with pytest.raises(AssertionError):
        assert_memory_as_planned(config, found)
    assert found.phase(VALIDATION).peak_bytes > 2 * found.phase(TRAIN).peak_bytes
