"""Slurm's names for the tasks of an array, split into tasks and joined again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.running.slurm.jobs import ranges
from workbench.running.slurm.queue import elements_named


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
