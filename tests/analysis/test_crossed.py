"""Means over seeds and documents, whose spreads are crossed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workbench.analysis.crossed import (
    CrossedMean,
    crossed_difference,
    crossed_mean,
    document_totals,
    seeds_mean,
)
from workbench.analysis.crossed_interval import interval, known_over
from workbench.analysis.curves import Floats
from workbench.errors import InputError


def balanced(rng: np.random.Generator, seeds: int, documents: int, points: int = 1) -> Floats:
    """Values with a spread of each kind, in documents of one token."""
    return np.asarray(
        rng.normal(0, 2.0, (seeds, 1, points))
        + rng.normal(0, 3.0, (1, documents, points))
        + rng.normal(0, 1.0, (seeds, documents, points))
    )


def part(mean: CrossedMean, of: str) -> float:
    return float(sum(p.covariance[0, 0] for p in mean.parts if p.of == of))


def test_parts_are_the_mean_squares_of_a_balanced_table() -> None:
    values = balanced(np.random.default_rng(0), 4, 7)[:, :, 0]
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    rest = values - rows[:, None] - columns + values.mean()
    mean = crossed_mean(values[:, :, None], np.ones(7))
    assert mean.value[0] == pytest.approx(values.mean())
    assert part(mean, "seeds") == pytest.approx(rows.var(ddof=1) / 4)
    assert part(mean, "documents") == pytest.approx(columns.var(ddof=1) / 7)
    assert part(mean, "interaction") == pytest.approx((rest**2).sum() / (3 * 6) / 28)
    assert [p.dof for p in mean.parts] == pytest.approx([6, 3, 18])


def test_the_variance_is_unbiased_over_crossed_seeds_and_documents_of_unequal_length() -> None:
    rng = np.random.default_rng(1)
    counts = np.array([1.0, 1, 1, 2, 2, 3, 5, 8, 13, 20])
    means, variances = [], []
    for _ in range(6_000):
        values = balanced(rng, 3, 10)
        mean = crossed_mean(values * counts[:, None], counts)
        means.append(mean.value[0])
        variances.append(part(mean, "seeds") + part(mean, "documents") - part(mean, "interaction"))
    share = counts / counts.sum()
    truth = 4 / 3 + (share**2).sum() * (9 + 1 / 3)
    assert np.var(means) == pytest.approx(truth, rel=0.06)
    assert np.mean(variances) == pytest.approx(truth, rel=0.06)


def test_few_long_documents_leave_few_degrees_of_freedom() -> None:
    equal = crossed_mean(np.random.default_rng(2).normal(size=(1, 50, 1)), np.ones(50))
    counts = np.array([100.0] * 5 + [1.0] * 45)
    long = crossed_mean(np.random.default_rng(2).normal(size=(1, 50, 1)), counts)
    assert equal.parts[0].dof == pytest.approx(49)
    assert 3 < long.parts[0].dof < 5


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_the_documents_degrees_of_freedom_are_those_of_the_matrix(n: int, seed: int) -> None:
    counts = np.random.default_rng(seed).uniform(0.1, 5, n)
    share = counts / counts.sum()
    matrix = np.diag(share) - np.outer(share, share)
    square = matrix @ matrix
    mean = crossed_mean(np.ones((1, n, 1)), counts)
    assert mean.parts[0].dof == pytest.approx(np.trace(square) ** 2 / np.trace(square @ square))


@given(st.permutations(range(4)), st.permutations(range(6)))
def test_neither_the_order_of_seeds_nor_of_documents_matters(
    seeds: list[int], documents: list[int]
) -> None:
    rng = np.random.default_rng(3)
    values, counts = rng.normal(size=(4, 6, 3)), rng.uniform(1, 9, 6)
    one = crossed_mean(values, counts)
    other = crossed_mean(values[seeds][:, documents], counts[documents])
    for over in ("seeds+documents", "seeds", "documents"):
        np.testing.assert_allclose(one.half_width(over)[0], other.half_width(over)[0])


@given(st.floats(-1e3, 1e3), st.floats(0.01, 100).map(lambda s: -s))
def test_an_interval_moves_scales_and_turns_with_the_values(shift: float, scale: float) -> None:
    rng = np.random.default_rng(4)
    values, counts = rng.normal(size=(3, 8, 1)), rng.uniform(1, 9, 8)
    one = interval(crossed_mean(values, counts))
    moved = scale * values + shift * counts[:, None]
    other = interval(crossed_mean(moved, counts))
    ends = sorted(scale * end + shift for end in one.ci95)
    assert other.ci95 == pytest.approx(ends, rel=1e-6, abs=1e-6)


def test_seeds_alone_give_the_t_interval_of_their_means() -> None:
    rng = np.random.default_rng(5)
    values, counts = rng.normal(size=(5, 8, 1)), rng.uniform(1, 9, 8)
    by_seed = values.sum(axis=(1, 2)) / counts.sum()
    half = stats.t.ppf(0.975, 4) * by_seed.std(ddof=1) / np.sqrt(5)
    expected = [by_seed.mean() - half, by_seed.mean() + half]
    for mean in (crossed_mean(values, counts), seeds_mean(by_seed[:, None])):
        answer = interval(mean, "seeds")
        assert answer.ci95 == pytest.approx(expected)
        assert answer.method == "t interval over 5 seeds, 4 degrees of freedom"
        assert answer.note is None


def test_an_interval_over_both_is_no_narrower_than_either() -> None:
    rng = np.random.default_rng(6)
    for _ in range(200):
        values = balanced(rng, int(rng.integers(2, 6)), 9) * rng.uniform(0.1, 3)
        mean = crossed_mean(values, rng.uniform(1, 9, 9))
        both, seeds, documents = (
            mean.half_width(over)[0][0] for over in ("seeds+documents", "seeds", "documents")
        )
        assert both >= max(seeds, documents)


def test_one_seed_has_an_interval_over_documents_that_says_so() -> None:
    rng = np.random.default_rng(7)
    mean = crossed_mean(rng.normal(size=(1, 30, 1)), np.ones(30))
    answer = interval(mean)
    assert answer.ci95 == interval(mean, "documents").ci95
    assert answer.method == "t interval over 30 documents of 1 seed, 29 degrees of freedom"
    assert "one seed" in answer.note
    assert interval(mean, "seeds").ci95 is None
    assert "one seed" in interval(mean, "seeds").note


def test_without_documents_seeds_are_what_is_known() -> None:
    answer = interval(seeds_mean(np.array([[1.0], [2.0], [4.0]])))
    assert answer.method == "t interval over 3 seeds, 2 degrees of freedom"
    assert "held-out text" in answer.note
    assert interval(seeds_mean(np.array([[1.0], [2.0]])), "documents").ci95 is None
    assert interval(seeds_mean(np.array([[1.0]]))).ci95 is None


def test_values_without_spread_have_an_interval_without_width() -> None:
    answer = interval(crossed_mean(np.full((3, 4, 1), 2.0), np.ones(4)))
    assert answer.ci95 == [2.0, 2.0]
    assert "infinitely many" in answer.method


def test_sides_with_other_seeds_add_their_spreads_and_pair_their_documents() -> None:
    rng = np.random.default_rng(8)
    counts = rng.uniform(1, 9, 40)
    shared = rng.normal(0, 5, (1, 40, 1))  # the documents' own, equal on both sides
    ours = (rng.normal(size=(3, 1, 1)) + shared) * counts[:, None]
    theirs = (rng.normal(size=(4, 1, 1)) + shared) * counts[:, None]
    difference = crossed_difference(ours, theirs, counts)
    one, other = crossed_mean(ours, counts), crossed_mean(theirs, counts)
    assert difference.value == pytest.approx(one.value - other.value)
    assert part(difference, "seeds") == pytest.approx(part(one, "seeds") + part(other, "seeds"))
    assert part(difference, "documents") == pytest.approx(0, abs=1e-20)
    assert not crossed_difference(ours[:1], theirs, counts).has("seeds")


def test_combinations_of_points_have_the_variance_of_the_combined_values() -> None:
    rng = np.random.default_rng(9)
    values, counts = rng.normal(size=(4, 11, 3)), rng.uniform(1, 9, 11)
    operator = rng.normal(size=(2, 3))
    after = crossed_mean(values, counts).through(operator)
    before = crossed_mean(values @ operator.T, counts)
    np.testing.assert_allclose(after.value, before.value)
    np.testing.assert_allclose(
        after.covariance("seeds+documents"), before.covariance("seeds+documents")
    )
    np.testing.assert_allclose(after.half_width("seeds"), before.half_width("seeds"))


def test_a_covariance_has_no_negative_eigenvalue() -> None:
    rng = np.random.default_rng(10)
    for _ in range(50):
        mean = crossed_mean(rng.normal(size=(3, 5, 4)), np.ones(5))
        values = np.linalg.eigvalsh(mean.covariance("seeds+documents"))
        assert values.min() > -1e-12


def test_windows_add_up_to_their_documents_with_their_weights() -> None:
    sums = np.arange(12.0).reshape(1, 6, 2)
    documents = np.array(["b", "a", "b", "a", "c", "a"])
    weights = np.array([1.0, 2, 1, 1, 1, 3])
    totals, counts = document_totals(sums, np.full(6, 4.0), documents, weights)
    np.testing.assert_allclose(counts, [24, 8, 4])
    np.testing.assert_allclose(totals[0, 0], 2 * sums[0, 1] + sums[0, 3] + 3 * sums[0, 5])
    whole = (sums * weights[:, None]).sum(axis=(0, 1)) / (4 * weights.sum())
    np.testing.assert_allclose(crossed_mean(totals, counts).value, whole)


@pytest.mark.parametrize(
    ("sums", "counts", "what"),
    [
        (np.ones((2, 3)), np.ones(3), "shape"),
        (np.ones((2, 3, 1)), np.ones(2), "shape"),
        (np.ones((2, 0, 1)), np.ones(0), "shape"),
        (np.full((2, 3, 1), np.nan), np.ones(3), "finite"),
        (np.ones((2, 3, 1)), np.array([1.0, 0, 1]), "without tokens"),
    ],
)
def test_bad_values_are_refused(sums: Floats, counts: Floats, what: str) -> None:
    with pytest.raises(InputError, match=what):
        crossed_mean(sums, counts)


def test_an_unknown_over_is_refused() -> None:
    with pytest.raises(InputError, match=r"seeds\+documents"):
        known_over(seeds_mean(np.ones((2, 1))), "windows")  # type: ignore[arg-type]


@pytest.mark.long
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("sd", [0.1, 0.5, 2.0])
def test_intervals_cover_crossed_effects(seeds: int, sd: float) -> None:
    # sd: of the mean over seeds' effects, against 1 of the documents'.
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(2_000):
        counts = np.minimum(rng.geometric(0.3, 100), 8.0)
        share = counts / counts.sum()
        documents = rng.normal(0, 1 / np.sqrt((share**2).sum()), (1, 100, 1))
        values = rng.normal(0, sd * np.sqrt(seeds), (seeds, 1, 1)) + documents
        ends = interval(crossed_mean(values * counts[:, None], counts)).ci95
        covered += ends[0] <= 0 <= ends[1]
    assert 0.925 <= covered / 2_000 <= (0.99 if seeds == 2 else 0.975)
