"""Where a lead leaves zero for good, and the interval of that place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.band import (
    BandCrossing,
    _smoother,
    crossing_along_training,
    crossing_between_budgets,
)
from workbench.analysis.crossed import CrossedMean, Over, crossed_mean, seeds_mean
from workbench.analysis.curves import Floats
from workbench.analysis.intervals import smooth_curve
from workbench.errors import InputError

X = np.array([1.0, *np.linspace(25, 400, 16)])


def lead(
    course: Floats, *, seeds: int = 5, sd: float = 0.01, rng: np.random.Generator | None = None
) -> CrossedMean:
    """The course with effects of each seed and each of 40 documents, and noise at each point."""
    rng = rng or np.random.default_rng(0)
    shape = (seeds, 40, len(course))
    effects = rng.normal(0, sd, (seeds, 1, 1)) + rng.normal(0, 3 * sd, (1, 40, 1))
    return crossed_mean(course + effects + rng.normal(0, 3 * sd, shape), np.ones(40))


def exact(course: Floats) -> CrossedMean:
    return lead(course, sd=0.0)


def inside(found: BandCrossing) -> bool:
    low, high = found.ci95
    assert found.crossover is not None
    return (low or 0.0) <= found.crossover <= (high or np.inf)


def test_without_noise_the_crossover_is_that_of_the_course() -> None:
    found = crossing_along_training(X, exact(np.log(X / 130)))
    assert found.status == "crossed"
    assert found.crossover == pytest.approx(130, rel=1e-3)
    assert found.ci95 == pytest.approx([130, 130], rel=0.01)
    assert (found.lower_bound, found.upper_bound) == (None, None)


def test_the_smooth_of_a_bent_course_keeps_its_crossover() -> None:
    course = 2 * np.log(X / 60) * np.exp(-(((np.log(X) - 4) / 2) ** 2)) - 0.1
    fine = np.exp(np.linspace(0, np.log(400), 100_001))
    true = 2 * np.log(fine / 60) * np.exp(-(((np.log(fine) - 4) / 2) ** 2)) - 0.1
    place = fine[np.flatnonzero(true <= 0)[-1] + 1] if true[-1] > 0 else None
    assert place is not None
    found = crossing_along_training(X, exact(course))
    assert found.crossover == pytest.approx(place, rel=0.01)


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.3), st.integers(2, 6))
def test_the_estimate_lies_inside_its_interval(seed: int, sd: float, seeds: int) -> None:
    rng = np.random.default_rng(seed)
    course = 0.3 * np.log(X / rng.uniform(20, 390)) + rng.normal(0, sd, len(X))
    found = crossing_along_training(X, lead(course, seeds=seeds, sd=sd, rng=rng))
    if found.status == "crossed":
        assert inside(found)
        assert found.crossover >= X[1]
    else:
        assert found.crossover is None
    if found.ci95 is not None and None not in found.ci95:
        assert X[0] <= found.ci95[0] <= found.ci95[1] <= X[-1]


def test_statuses_follow_the_band_at_the_end() -> None:
    clear = crossing_along_training(X, lead(np.full(17, -0.5)))
    assert (clear.status, clear.lower_bound, clear.ci95) == ("not_reached", 400, None)
    ahead = crossing_along_training(X, lead(np.full(17, 0.5)))
    assert (ahead.status, ahead.upper_bound, ahead.ci95) == ("ahead_throughout", 1, None)
    open_end = crossing_along_training(X, lead(0.2 * np.log(X / 398)))
    assert open_end.status == "undecided"
    assert open_end.crossover is None
    assert open_end.zero is None or 300 < open_end.zero <= 400
    assert open_end.ci95[0] == open_end.lower_bound
    assert 200 < open_end.lower_bound < 398
    assert open_end.ci95[1] is None
    assert "last point" in open_end.ci95_note
    nothing = crossing_along_training(X, lead(np.zeros(17)))
    assert (nothing.status, nothing.ci95) == ("undecided", [None, None])


def test_a_lead_lost_at_the_end_is_not_reached() -> None:
    course = -np.log(X / 130)
    assert crossing_along_training(X, lead(course)).status == "not_reached"


def test_of_several_crossings_the_last_counts_if_the_band_confirms_it() -> None:
    course = np.where((X > 60) & (X < 200), 0.5, -0.5) + np.where(X > 310, 1.0, 0.0)
    found = crossing_along_training(X, lead(course))
    assert found.status == "crossed"
    assert 300 <= found.crossover <= 325
    assert found.ci95[0] > 250


def test_in_the_first_gap_there_is_an_upper_bound_alone() -> None:
    course = np.where(X < 2, -0.3, 0.3)
    found = crossing_along_training(X, lead(course))
    assert (found.status, found.crossover) == ("ahead_throughout", None)
    assert found.upper_bound == 25
    assert found.ci95 == [1, 25]


def test_a_band_that_holds_zero_at_first_leaves_the_lower_limit_open() -> None:
    course = np.where(X < 130, -0.001, 0.3)
    found = crossing_along_training(X, lead(course))
    assert found.status == "crossed"
    assert found.ci95[0] is None


@given(st.floats(1e-3, 1e15), st.floats(1e-3, 1e3))
def test_neither_the_unit_of_x_nor_that_of_the_lead_matters(x_unit: float, unit: float) -> None:
    mean = lead(0.1 * np.log(X / 130))
    one = crossing_along_training(X, mean)
    other = crossing_along_training(x_unit * X, mean.through(unit * np.eye(17)))
    assert other.crossover == pytest.approx(x_unit * one.crossover, rel=1e-4)
    assert other.ci95 == pytest.approx([x_unit * end for end in one.ci95], rel=0.01)


def test_sides_exchanged_are_not_reached_where_they_were_ahead() -> None:
    for course in (np.log(X / 130), np.full(17, 0.4), np.full(17, -0.4)):
        mean = lead(course)
        one, other = crossing_along_training(X, mean), crossing_along_training(X, -mean)
        np.testing.assert_allclose(one.band.low, -other.band.high)
        np.testing.assert_allclose(one.band.lead, -other.band.lead)
        assert (one.status == "not_reached") == (other.band.low[-1] > 0)


def test_two_points_are_enough_and_one_is_not() -> None:
    mean = lead(np.array([-0.3, 0.3]))
    found = crossing_along_training(np.array([10.0, 1000.0]), mean)
    assert (found.status, found.upper_bound) == ("ahead_throughout", 1000)
    with pytest.raises(InputError, match="two or more"):
        crossing_along_training(np.array([10.0]), lead(np.array([0.3])))


@pytest.mark.parametrize("x", [[0.0, 1, 2], [1.0, 1, 2], [3.0, 2, 1]])
def test_places_that_have_no_logarithm_or_order_are_refused(x: list[float]) -> None:
    with pytest.raises(InputError, match="increasing"):
        crossing_along_training(np.array(x), lead(np.zeros(3)))


def test_a_crossover_of_one_seed_has_no_interval_and_says_why() -> None:
    mean = lead(np.log(X / 130), seeds=1)
    cases: list[tuple[Over, str]] = [
        ("seeds+documents", "one seed"),
        ("documents", "documents alone"),
    ]
    for over, few in cases:
        found = crossing_along_training(X, mean, over)
        assert found.status == "crossed"
        assert found.ci95 is None
        assert found.ci95_note.startswith(few)
    undecided = crossing_along_training(X, lead(0.2 * np.log(X / 398), seeds=1))
    assert (undecided.status, undecided.lower_bound) == ("undecided", None)


def test_effective_data_of_one_seed_have_an_interval_over_documents_alone_if_asked() -> None:
    budgets = np.array([1e4, 2e4, 8e4])
    mean = lead(np.array([-0.2, -0.1, 0.1]), seeds=1)
    assert crossing_between_budgets(budgets, mean).ci95 is None
    found = crossing_between_budgets(budgets, mean, "documents")
    assert inside(found)
    assert "40 documents of 1 seed" in found.ci95_method
    without = crossing_between_budgets(budgets, seeds_mean(np.array([[-0.2, -0.1, 0.1]])))
    assert (without.status, without.ci95) == ("crossed", None)


def test_without_documents_the_interval_runs_over_seeds_and_says_so() -> None:
    rng = np.random.default_rng(1)
    mean = seeds_mean(np.log(X / 130) + rng.normal(0, 0.05, (4, 17)))
    found = crossing_along_training(X, mean)
    assert inside(found)
    assert found.ci95_method.startswith("band, t interval over 4 seeds, ")
    assert "held-out text" in found.ci95_note
    alone = crossing_along_training(X, seeds_mean(np.log(X / 130)[None]))
    assert (alone.status, alone.ci95) == ("crossed", None)


def test_an_interval_over_seeds_and_documents_is_wider_than_over_seeds() -> None:
    mean = lead(0.2 * np.log(X / 130))
    widths = []
    wanted: tuple[Over, Over] = ("seeds+documents", "seeds")
    for over in wanted:
        low, high = crossing_along_training(X, mean, over).ci95
        widths.append(high - low)
    assert widths[0] > widths[1] > 0


@pytest.mark.parametrize("points", [17, 33])
def test_slow_noisy_crossings_are_not_late(points: int) -> None:
    rng = np.random.default_rng(2)
    x = np.array([1.0, *np.linspace(400 / (points - 1), 400, points - 1)])
    places = []
    for _ in range(60):
        course = 0.02 * np.log(x / 100) + rng.normal(0, 0.018, points)
        places.append(crossing_along_training(x, exact(course)).crossover or 400)
    assert 85 < np.median(places) < 125


def test_effective_data_are_read_off_between_budgets_in_log_tokens() -> None:
    budgets = np.array([1e4, 2e4, 8e4])
    found = crossing_between_budgets(budgets, exact(np.array([-0.2, -0.1, 0.1])))
    assert found.status == "crossed"
    assert found.crossover == pytest.approx(4e4, rel=1e-9)
    first = crossing_between_budgets(budgets, lead(np.array([-0.1, 0.3, 0.4])))
    assert first.status == "crossed"
    assert first.crossover < 2e4
    beyond = crossing_between_budgets(budgets, lead(np.array([-0.4, -0.3, -0.2])))
    assert (beyond.status, beyond.lower_bound) == ("not_reached", 8e4)


def test_what_a_smooth_flattens_has_the_points_less_the_trace_as_its_degrees_of_freedom() -> None:
    y = np.log(X / 130) + np.random.default_rng(1).normal(0, 0.05, len(X))
    _, _, flattened = _smoother(X, y, True)
    smooth = smooth_curve(X, y)
    assert flattened is not None
    assert smooth is not None
    hat = smooth.refit(np.eye(len(X))).T
    left = len(X) - np.trace(hat)
    assert flattened.dof == pytest.approx(left)
    scatter = ((y - smooth.fitted) ** 2).sum() / left
    np.testing.assert_allclose(flattened.measured, scatter * (hat - hat @ hat.T), atol=1e-12)
