"""The best place of a grid: exact on parabolas, and intervals that cover it."""

import numpy as np
import pytest

from workbench.analysis.crossed import CrossedMean, crossed_mean, seeds_mean
from workbench.analysis.optimum import Optimum, contrasts, find_optimum

GRID = np.log(2.0) * np.arange(6)


def measured(
    opt: float, rng: np.random.Generator, *, seeds: int, curvature: float = 0.05,
    noise: float = 0.01, documents: int = 0,
) -> CrossedMean:  # fmt: skip
    """Parabolas whose seeds differ by 0.2, alike at all places, and `noise` at each."""
    values = curvature * (GRID - opt) ** 2 + rng.normal(0, 0.2, (seeds, 1))
    values = values + rng.normal(0, noise, (seeds, len(GRID)))
    if not documents:
        return seeds_mean(values)
    alike = rng.normal(0, 0.5, (1, documents, 1))
    own = rng.normal(0, 2 * noise, (seeds, documents, len(GRID)))
    return crossed_mean(values[:, None, :] + alike + own, np.ones(documents))


def interval(optimum: Optimum) -> tuple[float, float]:
    assert optimum.ranges is not None
    low, high = optimum.ranges
    ends = [np.quantile(low, 0.025, method="inverted_cdf"),
            np.quantile(high, 0.975, method="inverted_cdf")]  # fmt: skip
    inside = [] if optimum.vertex is None else [optimum.vertex]
    return float(min([ends[0], *inside])), float(max([ends[1], *inside]))


@pytest.mark.parametrize("grid", [GRID, np.log([1, 2, 3, 10, 30, 100])])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.6])
def test_the_vertex_of_a_parabola_is_exact_however_the_grid_is_spaced(
    grid: np.ndarray, share: float
) -> None:
    at = float(grid[1] + share * (grid[4] - grid[1]))
    values = 2.0 + 0.3 * (grid - at) ** 2
    found = find_optimum(grid, seeds_mean(np.tile(values, (3, 1))), "seeds")
    assert found.vertex == pytest.approx(at)
    assert found.lowest == pytest.approx(2.0)
    assert found.bound is None
    assert found.draws == pytest.approx(at)  # seeds that agree leave nothing open


@pytest.mark.parametrize(("order", "bound"), [(1, "upper"), (-1, "lower")])
def test_the_best_at_an_edge_is_a_bound_beyond_its_neighbour(order: int, bound: str) -> None:
    values = np.tile(np.arange(6.0)[::order], (3, 1))
    found = find_optimum(GRID, seeds_mean(values), "seeds")
    assert (found.vertex, found.bound) == (None, bound)
    low, high = interval(found)
    assert (low, high) == ((-np.inf, GRID[1]) if bound == "upper" else (GRID[-2], np.inf))


def test_two_values_have_a_best_and_no_vertex() -> None:
    found = find_optimum(GRID[:2], seeds_mean(np.array([[2.0, 1.0], [2.1, 1.0]])), "seeds")
    assert (found.best, found.vertex, found.bound) == (1, None, "lower")


def test_equal_lowest_values_have_a_vertex_between_them() -> None:
    values = np.array([[3.0, 1.0, 1.0, 3.0, 4.0, 5.0]] * 2)
    found = find_optimum(GRID, seeds_mean(values), "seeds")
    assert found.vertex == pytest.approx((GRID[1] + GRID[2]) / 2)


def test_one_seed_without_documents_has_no_interval() -> None:
    found = find_optimum(GRID, measured(1.6, np.random.default_rng(0), seeds=1), "seeds+documents")
    assert found.vertex is not None
    assert found.draws is None
    assert found.ranges is None


def test_what_all_places_share_moves_no_vertex() -> None:
    """Seeds differ by 0.2, twenty times as much as their places: pairing takes that away."""
    found = find_optimum(GRID, measured(1.6, np.random.default_rng(1), seeds=5), "seeds")
    low, high = interval(found)
    assert high - low < np.log(2)


@pytest.mark.parametrize(
    ("seeds", "documents", "curvature"), [(3, 0, 0.05), (5, 0, 0.02), (3, 20, 0.05), (5, 20, 0.2)]
)
def test_the_interval_covers_the_optimum(seeds: int, documents: int, curvature: float) -> None:
    """In 19 of 20 studies, wherever between two values of the grid it lies."""
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(200):
        opt = float(rng.uniform(GRID[1], GRID[4]))
        mean = measured(opt, rng, seeds=seeds, curvature=curvature, documents=documents)
        low, high = interval(find_optimum(GRID, mean, "seeds+documents" if documents else "seeds"))
        covered.append(low <= opt <= high)
    assert np.mean(covered) > 0.91  # three standard errors of 200 below 0.95


def test_an_interval_reaches_beyond_a_grid_that_does_not_bound_the_optimum() -> None:
    """Values that differ less than their noise leave the optimum open."""
    rng = np.random.default_rng(3)
    open_ended = [
        np.inf in np.abs(interval(find_optimum(GRID, mean, "seeds")))
        for mean in (measured(0.5, rng, seeds=3, curvature=0.002, noise=0.05) for _ in range(20))
    ]
    assert np.mean(open_ended) > 0.8


def test_contrasts_are_paired() -> None:
    mean = measured(1.6, np.random.default_rng(5), seeds=5, noise=0.001)
    half, _ = contrasts(mean, 2).half_width("seeds")
    assert half[2] == 0
    assert half.max() < 0.01 < mean.half_width("seeds")[0].min()
