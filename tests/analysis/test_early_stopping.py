"""A best value is chosen and measured on different documents."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.crossed import crossed_mean
from workbench.analysis.crossed_interval import interval
from workbench.analysis.early_stopping import document_halves, early_stopped
from workbench.errors import InputError


@given(st.lists(st.text(max_size=5), min_size=2, max_size=40, unique=True), st.randoms())
def test_documents_keep_their_half_in_any_order_and_halves_are_equal(
    documents: list[str], random: Random
) -> None:
    first = dict(zip(documents, document_halves(documents), strict=True))
    assert abs(2 * sum(first.values()) - len(documents)) <= 1
    shuffled = list(documents)
    random.shuffle(shuffled)
    assert dict(zip(shuffled, document_halves(shuffled), strict=True)) == first


def test_each_half_is_measured_where_the_other_is_best() -> None:
    # Three points; the first half is best at point 1, the second at point 2.
    values = np.array([[[5.0, 1, 3], [7.0, 4, 2]]])
    stopped = early_stopped(values, np.ones(2), np.array([True, False]))
    assert stopped.points.tolist() == [[1, 2]]
    assert stopped.sums[:, :, 0].tolist() == [[3.0, 4.0]]
    most = early_stopped(values, np.ones(2), np.array([True, False]), higher=True)
    assert most.points.tolist() == [[0, 0]]
    assert most.sums[:, :, 0].tolist() == [[5.0, 7.0]]


def test_halves_choose_by_their_mean_over_tokens() -> None:
    # By documents point 0 is better in the first half, by tokens point 1 is.
    counts = np.array([1.0, 9.0, 1.0])
    values = np.array([[[0.0, 2.0], [1.0, 0.5], [1.0, 1.0]]])
    stopped = early_stopped(values * counts[:, None], counts, np.array([True, True, False]))
    assert stopped.points[0, 0] == 1


def test_seeds_choose_on_their_own() -> None:
    rng = np.random.default_rng(0)
    sums, counts = rng.normal(size=(4, 10, 6)), rng.uniform(1, 5, 10)
    first = document_halves(range(10))
    together = early_stopped(sums, counts, first)
    for seed in range(4):
        alone = early_stopped(sums[seed : seed + 1], counts, first)
        np.testing.assert_array_equal(together.sums[seed], alone.sums[0])


def test_higher_is_the_mirror_of_lower() -> None:
    rng = np.random.default_rng(1)
    sums, counts = rng.normal(size=(3, 10, 6)), rng.uniform(1, 5, 10)
    first = document_halves(range(10))
    one = early_stopped(sums, counts, first)
    other = early_stopped(-sums, counts, first, higher=True)
    np.testing.assert_array_equal(one.sums, -other.sums)
    np.testing.assert_array_equal(one.points, other.points)


def test_noise_does_not_make_the_best_better() -> None:
    # All points are alike: the least of 17 noisy means lies far below, the halves' does not.
    rng = np.random.default_rng(2)
    naive, halved = [], []
    counts = rng.uniform(1, 8, 60)
    first = document_halves(range(60))
    for _ in range(300):
        values = 2 + 0.3 * rng.normal(size=(1, 60, 17))
        sums = values * counts[:, None]
        naive.append((sums.sum(axis=1) / counts.sum()).min())
        halved.append(crossed_mean(early_stopped(sums, counts, first).sums, counts).value[0])
    error = np.std(halved) / np.sqrt(300)
    assert np.mean(naive) < 2 - 10 * error
    assert np.mean(halved) == pytest.approx(2, abs=3 * error)


def test_without_noise_the_best_is_the_least_point() -> None:
    course = np.array([3.0, 2.0, 2.5])
    stopped = early_stopped(np.tile(course, (2, 8, 1)), np.ones(8), document_halves(range(8)))
    answer = interval(crossed_mean(stopped.sums, np.ones(8)))
    assert (answer.estimate, answer.ci95) == (2.0, [2.0, 2.0])


@pytest.mark.parametrize(
    ("first", "named"),
    [
        ([], "0 documents"),
        ([True], "1 document"),
        ([False], "1 document"),
        ([True] * 2, "2 documents"),
    ],
)
def test_a_half_without_documents_is_refused(first: list[bool], named: str) -> None:
    documents = len(first)
    with pytest.raises(InputError, match=f"^{named} cannot be halved.* two or more"):
        early_stopped(np.ones((2, documents, 3)), np.ones(documents), np.array(first, dtype=bool))
