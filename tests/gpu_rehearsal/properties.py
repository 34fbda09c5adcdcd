"""What holds of every rehearsal."""

from pytest import approx

from workbench.planning.memory import memory_per_gpu
from workbench.recipe import RunConfig
from workbench.rehearsal.counts import SAMPLING, TRAIN, TRAIN_LOGGED, TRAINING, Rehearsal

MOST_SYNCS_LOGGING = 3
"""The loss and the norm of the gradients are read, and what routers did."""


def assert_nothing_fails(found: Rehearsal) -> None:
    """No mixture of devices, no operation that a GPU or a fake tensor refuses."""
    assert [(phase.name, phase.error, phase.where) for phase in found.errors] == []


def assert_free_of_waits(found: Rehearsal) -> None:
    """Between logging steps the host never waits, and no copy makes it wait."""
    step, logged = found.phase(TRAIN), found.phase(TRAIN_LOGGED)
    assert step.syncs == []
    assert [copy for copy in (*step.copies, *logged.copies) if copy.blocking] == []
    assert logged.waits <= MOST_SYNCS_LOGGING


def assert_in_the_compute_type(found: Rehearsal) -> None:
    """No float64 in a step, and attention's masks in the type of its queries, wherever it is."""
    for phase in found.phases:
        assert phase.masks == []
        assert phase.name not in TRAINING or phase.float64 == []


def assert_memory_as_planned(config: RunConfig, found: Rehearsal) -> None:
    """The traced peaks are within 10 % of those that `workbench plan` tells."""
    planned = memory_per_gpu(config)
    trained = max(found.phase(name).peak_bytes for name in (TRAIN, TRAIN_LOGGED))
    assert trained == approx(planned.training, rel=0.1)
    asked = [phase for phase in found.phases if phase.name not in (*TRAINING, SAMPLING)]
    assert max(phase.peak_bytes for phase in asked) <= 1.1 * planned.evaluation.total
