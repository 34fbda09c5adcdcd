"""Which groups of runs and which seeds are taken where groups lack some."""

from workbench.analysis.common_seeds import common_seeds, left_out_note


def test_as_many_groups_times_seeds_are_taken_as_can_be() -> None:
    five = set(range(5))
    assert common_seeds([five, {0}]) == ([0], [0, 1, 2, 3, 4])
    assert common_seeds([{0, 1, 2}, {1, 2}]) == ([0, 1], [1, 2])
    assert common_seeds([{0, 1, 2, 3}, {1, 2, 3, 4}]) == ([0, 1], [1, 2, 3])
    assert common_seeds([five, five, {7}]) == ([0, 1], [0, 1, 2, 3, 4])


def test_of_groups_without_a_common_seed_one_is_taken_and_none_of_none() -> None:
    assert common_seeds([{0}, {1}]) == ([0], [0])
    assert common_seeds([set(), set()]) == ([], [])
    assert common_seeds([]) == ([], [])


def test_what_is_left_out_is_counted() -> None:
    assert left_out_note(0) is None
    assert left_out_note(1) == "without 1 pair that lacks these seeds"
    assert left_out_note(3) == "without 3 pairs that lack these seeds"
