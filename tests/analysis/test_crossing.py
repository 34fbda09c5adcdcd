"""Crossings of two curves: persistent, interpolated, never invented."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.crossing import Crossing, compare_curves, crossing_places


def compare(base: list[float], other: list[float], *, higher: bool = False) -> Crossing:
    x = np.arange(1.0, len(base) + 1)
    crossing = compare_curves(x, np.array(base), x, np.array(other), higher_is_better=higher)
    assert crossing is not None
    return crossing


def test_a_crossing_lies_where_the_lines_cross() -> None:
    crossing = compare([1, 2, 4], [3, 3, 3])
    assert crossing == Crossing("crossed", 2.5, 1.0, 3.0, [2.5], 2.5)


def test_the_crossover_is_the_last_turn_that_holds() -> None:
    crossing = compare([3, 1, 3, 1, 3, 3], [2, 2, 2, 2, 2, 2])
    assert crossing.all_crossings == [1.5, 2.5, 3.5, 4.5]
    assert crossing.crossover == 4.5
    assert crossing.first_crossing == 2.5  # at 1.5 the lead is lost, not won


def test_a_lead_that_is_lost_again_is_no_crossover() -> None:
    crossing = compare([1, 3, 1], [2, 2, 2])
    assert (crossing.status, crossing.crossover, crossing.last_x) == ("not_reached", None, 3.0)
    assert len(crossing.all_crossings) == 2


def test_ahead_from_the_first_point_is_no_crossing() -> None:
    assert compare([3, 3], [2, 2]) == Crossing("ahead_throughout", None, 1.0, 2.0, [], None)


def test_a_tie_is_not_ahead() -> None:
    assert compare([2, 2], [2, 2]).status == "not_reached"
    assert compare([1, 2], [2, 2]).status == "not_reached"


def test_accuracy_is_better_when_higher() -> None:
    assert compare([0.5, 0.5], [0.4, 0.6], higher=True).crossover == 1.5
    assert compare([0.5, 0.5], [0.4, 0.6], higher=False).status == "not_reached"


def test_only_the_range_that_both_cover_is_compared() -> None:
    crossing = compare_curves(
        np.array([1.0, 3.0]), np.array([0.0, 2.0]), np.array([2.0, 9.0]), np.array([1.5, 1.5]),
        higher_is_better=False,
    )  # fmt: skip
    assert crossing == Crossing("crossed", 2.5, 2.0, 3.0, [2.5], 2.5)
    disjoint = compare_curves(
        np.array([1.0]), np.array([0.0]), np.array([2.0]), np.array([0.0]), higher_is_better=False
    )
    assert disjoint is None


curve = st.lists(st.floats(0, 10, width=32), min_size=2, max_size=12)


@given(curve, curve)
def test_a_crossover_has_the_challenger_ahead_from_there_on(a: list[float], b: list[float]) -> None:
    n = min(len(a), len(b))
    crossing = compare(a[:n], b[:n])
    ahead = np.array(b[:n]) < np.array(a[:n])
    x = np.arange(1.0, n + 1)
    if crossing.status == "crossed":
        assert crossing.crossover is not None
        assert ahead[x > crossing.crossover].all()
        assert not ahead.all()
    assert (crossing.status == "ahead_throughout") == ahead.all()
    assert (crossing.status == "not_reached") == (not ahead[-1])


def both(base: list[float], other: list[float], *, higher: bool = False) -> tuple[Crossing, ...]:
    """By the two definitions; the baseline starts a point before the challenger."""
    x = np.arange(1.0, len(base) + 1)
    crossing = tuple(
        compare_curves(
            x, np.array(base), x[1:], np.array(other[1:]), higher_is_better=higher, definition=how
        )
        for how in ("point", "best_so_far")
    )
    assert None not in crossing
    return crossing


def test_the_best_so_far_counts_from_before_the_common_range() -> None:
    point, best = both([1, 3, 3], [0, 2, 2])
    assert point.status == "ahead_throughout"
    assert best.status == "not_reached"


def test_the_best_so_far_bends_where_a_line_passes_it() -> None:
    # The best stays at 2 until x = 3.5, then falls with the line; 1.5 is passed at 3.75.
    x = np.array([1.0, 2.0, 3.0, 4.0])
    crossing = compare_curves(
        x, np.array([4.0, 2.0, 3.0, 1.0]), x, np.array([5.0, 5.0, 1.5, 1.5]),
        higher_is_better=False, definition="best_so_far",
    )  # fmt: skip
    assert crossing is not None
    assert crossing.all_crossings == pytest.approx([2 + 3 / 3.5, 3.75])
    assert crossing.status == "not_reached"


@pytest.mark.parametrize(
    ("last", "status", "expected"),
    [(1.0, "crossed", [2.4]), (0.0, "not_reached", [2.4, 2 + 2 / 3])],
)
def test_both_lines_go_on_through_the_bend_of_the_best_so_far(
    last: float, status: str, expected: list[float]
) -> None:
    """The challenger falls from 3 to 0.5 after x = 2, and passes the best, 2, at 2.4. The baseline
    passes it later on its way from 4 to `last`, and from there on its own line is the best."""
    x = np.array([1.0, 2.0, 3.0])
    for sign in (1, -1):
        crossing = compare_curves(
            x, sign * np.array([2.0, 4.0, last]), x, sign * np.array([3.0, 3.0, 0.5]),
            higher_is_better=sign < 0, definition="best_so_far",
        )  # fmt: skip
        assert crossing is not None
        assert crossing.status == status
        assert crossing.all_crossings == pytest.approx(expected)


longer = st.lists(st.floats(0, 10, width=32), min_size=3, max_size=12)


@given(longer, longer, st.booleans())
def test_beating_the_best_so_far_is_never_earlier(
    a: list[float], b: list[float], higher: bool
) -> None:
    n = min(len(a), len(b))
    point, best = both(a[:n], b[:n], higher=higher)
    if best.status == "ahead_throughout":
        assert point.status == "ahead_throughout"
    elif best.status == "crossed":
        assert best.crossover is not None
        assert point.status != "not_reached"
        if point.crossover is not None:
            assert best.crossover >= point.crossover - 1e-6


@given(longer, longer)
def test_a_running_best_is_exact_between_points(a: list[float], b: list[float]) -> None:
    n = min(len(a), len(b))
    _, best = both(a[:n], b[:n])
    fine = np.linspace(1, n, 2_000 * (n - 1) + 1)
    x = np.arange(1.0, n + 1)
    lead = np.minimum.accumulate(np.interp(fine, x, a[:n])) - np.interp(fine, x, b[:n])
    lead, fine = lead[fine >= 2], fine[fine >= 2]
    if best.crossover is not None:
        assert (lead[fine > best.crossover + 0.01] > -0.02).all()
    if (lead > 0.02).all():
        assert best.status == "ahead_throughout"
    if lead[-1] < -0.02:
        assert best.status == "not_reached"


@given(longer, longer, st.floats(1e-3, 1e9))
def test_a_crossover_scales_with_its_axis(a: list[float], b: list[float], c: float) -> None:
    n = min(len(a), len(b))
    x = np.arange(1.0, n + 1)
    for how in ("point", "best_so_far"):
        plain, other = (
            compare_curves(
                scale * x, np.array(a[:n]), scale * x, np.array(b[:n]),
                higher_is_better=False, definition=how,
            )
            for scale in (1.0, c)
        )  # fmt: skip
        assert plain is not None
        assert other is not None
        assert plain.status == other.status
        if plain.crossover is not None:
            assert other.crossover == pytest.approx(c * plain.crossover, rel=1e-6)


@given(st.lists(st.tuples(longer, longer), min_size=1, max_size=4), st.booleans())
def test_many_pairs_at_once_get_the_same_answers(
    pairs: list[tuple[list[float], list[float]]], higher: bool
) -> None:
    n = min(len(values) for pair in pairs for values in pair)
    x, later = np.arange(1.0, n + 1), np.arange(1.5, n + 1)
    base, other = (np.array([pair[side][:n] for pair in pairs]) for side in (0, 1))
    other = other[:, : len(later)]
    for how in ("point", "best_so_far"):
        together = crossing_places(x, base, later, other, higher_is_better=higher, definition=how)
        for place, ours, theirs in zip(together, base, other, strict=True):
            crossing = compare_curves(
                x, ours, later, theirs, higher_is_better=higher, definition=how
            )
            assert crossing is not None
            expected = {"not_reached": np.inf, "ahead_throughout": -np.inf}
            assert place == expected.get(crossing.status, crossing.crossover)
