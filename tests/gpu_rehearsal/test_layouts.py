"""Rank 0 of many: FSDP2, copies of it, tensor parallelism with its loss, mixtures of experts."""

import pytest

from tests.gpu_rehearsal.conftest import Rehearse
from tests.gpu_rehearsal.properties import (
    assert_free_of_waits,
    assert_in_the_compute_type,
    assert_memory_as_planned,
    assert_nothing_fails,
)
from workbench.rehearsal.counts import TRAIN

pytestmark = pytest.mark.slow

LAYOUTS = {
    "FSDP2 over 16": (16, ["parallelism.shard=16", "training.batch_size=4096"]),
    "4 copies of FSDP2 over 16, a mixture of experts": (
        64,
        ["parallelism.shard=16", "parallelism.replicate=4", "training.batch_size=8192",
         "training.micro_batch_size=64", "training.objective=mdlm", "model.moe_experts=8",
         "model.ffn=512", "training.activation_checkpointing=true"],
    ),
    "2 copies of FSDP2 over 16, of 8 tensor-parallel ranks each": (
        256,
        ["parallelism.shard=16", "parallelism.replicate=2", "parallelism.tensor=8",
         "training.batch_size=8192", "training.objective=mdlm"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rank_of_many_does_what_one_does(rehearse: Rehearse, layout: str) -> None:
    ranks, keys = LAYOUTS[layout]
    config, found = rehearse(*keys)
    assert found.world_size == config.parallelism.world_size == ranks
    assert_nothing_fails(found)
    assert_free_of_waits(found)
    assert_in_the_compute_type(found)
    assert_memory_as_planned(config, found)
    assert found.phase(TRAIN).groups["communication"].kernels > 0
