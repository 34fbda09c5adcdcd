"""What holds of every rehearsal."""

import pytest

from workbench.planning.memory import memory_per_gpu
from workbench.recipe import RunConfig
from workbench.rehearsal.counts import SAMPLING, TRAIN, TRAIN_LOGGED, TRAINING, Rehearsal

MOST_WAITS_LOGGING = 3


def assert_nothing_fails(found: Rehearsal) -> None:
    """No mixture of devices, no operation that a GPU or a fake tensor refuses."""
    assert [(phase.name, phase.error, phase.where) for phase in found.errors] == []


def assert_free_of_waits(found: Rehearsal) -> None:
    """Between logging steps the host never waits, and no copy makes it wait."""
    step, logged = found.phase(TRAIN), found.phase(TRAIN_LOGGED)
    assert step.syncs == []
    to_device = [copy for copy in logged.copies if copy.direction == "host to device"]
    assert [copy for copy in (*step.copies, *to_device) if copy.blocking] == []
    # What is logged has to be waited for: the loss, the norm of the gradients, routers.
    assert logged.waits + logged.blocking_copies <= MOST_WAITS_LOGGING


def assert_in_the_compute_type(found: Rehearsal) -> None:
    """No float64 in a step, and attention's masks in the type of its queries, wherever it is."""
    for phase in found.phases:
        assert phase.masks == []
    assert found.phase(TRAIN).float64 == []


def assert_memory_as_planned(config: RunConfig, found: Rehearsal) -> None:
    """The traced peaks are within 10 % of those that `workbench plan` tells.

    Where a step has several micro-batches: of one alone, gradients come when activations go.
    """
    assert found.layers == config.model.layers
    planned = memory_per_gpu(config)
    trained = max(found.phase(name).peak_bytes for name in (TRAIN, TRAIN_LOGGED))
    assert trained == pytest.approx(planned.training, rel=0.1)
    asked = [phase for phase in found.phases if phase.name not in (*TRAINING, SAMPLING)]
    assert max(phase.peak_bytes for phase in asked) <= 1.1 * planned.evaluation.total
