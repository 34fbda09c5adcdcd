"""Slurm's names for the tasks of an array, split into tasks and joined again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.recipe.slurm import SlurmConfig
from workbench.running.slurm.jobs import ranges
from workbench.running.slurm.queue import Queue, elements_named
from workbench.running.slurm.shapes import Array, Shape
from workbench.running.slurm.submissions import Submission


@pytest.mark.parametrize(
    ("named", "elements"),
    [
        ("7", ["7"]),
        ("7_3", ["7_3"]),
        ("7_[3]", ["7_3"]),
        ("7_[0-2,5%4]", ["7_0", "7_1", "7_2", "7_5"]),
        ("7_[0-2,...]", ["7_0", "7_1", "7_2"]),
    ],
)
def test_an_id_of_several_tasks_is_split(named: str, elements: list[str]) -> None:
    assert elements_named(named) == elements


@given(st.sets(st.integers(0, 500), min_size=1))
def test_ranges_name_the_tasks_that_they_were_made_of(indices: set[int]) -> None:
    assert elements_named(f"9_[{ranges(list(indices))}]") == [f"9_{i}" for i in sorted(indices)]


def test_a_clock_that_goes_backwards_does_not_say_what_is_in_the_queue(tmp_path: Path) -> None:
    shape = Shape(nodes=1, ranks=1, threads=1, gpus_per_node=None, cpus_per_node=1, at_once=1)
    arrays = [Array(shape, [["run"]])]
    one, other = (Submission.new(tmp_path, "s", SlurmConfig(), arrays, {}) for _ in range(2))
    one.job_ids, other.job_ids = ["7"], ["8"]
    (gone,), (later,) = one.elements(), other.elements()
    queue = Queue(asked=one.created - 3600, jobs={}, ended={}, about=(one.name,))
    assert not queue.has(gone), "it was asked about, and is not there"
    assert queue.of(gone) is None
    queue = Queue(asked=other.created + 3600, jobs={}, ended={}, about=(one.name,))
    assert queue.has(later), "it was submitted after the answer, whatever the clock says"
