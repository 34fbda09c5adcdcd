"""The laws themselves: values, limits and slopes."""

import numpy as np
import pytest

from tests.laws.fitting.conftest import law
from workbench.laws.law import Rows
from workbench.laws.registry import LAWS

ROWS = Rows.of(
    np.array([1.37e6, 1.23e8, 1.71e9, 1.19e11, 3.3e8]),  # off the sizes that round values support
    np.array([1e9, 1e9, 1e10, 5e12, 1e9]),
    np.array([1e9, 1e8, 1e7, 1e9, 9.99e8]),
)


def test_chinchilla_is_its_formula() -> None:
    predicted = law("chinchilla").predict(law("chinchilla").published, ROWS)
    n, d = np.exp(ROWS.log_n), np.exp(ROWS.log_d)
    assert predicted == pytest.approx(1.8172 + 482.01 / n**0.3478 + 2085.43 / d**0.3658)


@pytest.mark.parametrize("name", ["data_constrained", "data_constrained_geometric"])
def test_without_repeats_and_excess_it_is_chinchilla(name: str) -> None:
    values = law("data_constrained").published
    n, d = np.array([1e6, 3e6]), np.array([1e11, 1e12])
    predicted = law(name).predict(values, Rows.of(n, d, d))
    plain = {k: values[k] for k in ("E", "A", "B", "alpha", "beta")}
    assert predicted == pytest.approx(law("chinchilla").predict(plain, Rows.of(n, d, d)), rel=1e-12)


def test_repeats_are_worth_at_most_r_d_times_the_unique_tokens() -> None:
    """Muennighoff et al.: the worth of repeats ends at R_D U."""
    values = law("data_constrained").published
    far = Rows.of(np.array([1e6]), np.array([1e16]), np.array([1e9]))
    equal = Rows.of(np.array([1e6]), np.array([1e9 * (1 + values["R_D"])]), np.array([1e9]))
    once = {**values, "R_D": 1e5}
    # One epoch of as many distinct tokens predicts the same, as far as data goes.
    ours = law("data_constrained").terms(law("data_constrained").internal(values)[None], far, False)
    same = Rows(equal.log_n, equal.log_d, equal.log_d)
    theirs = law("data_constrained").terms(
        law("data_constrained").internal(once)[None], same, False
    )
    assert ours[0][0, 0, 2] == pytest.approx(theirs[0][0, 0, 2], rel=1e-6)


def test_geometric_repeats_add_up_to_the_series() -> None:
    """Each repeat is worth 1 - delta of the one before it."""
    delta = 0.2
    values = {**law("data_constrained").published, "R_D": (1 - delta) / delta}
    scaling_law = law("data_constrained_geometric")
    for epochs in (1, 2, 5):
        rows = Rows.of(np.array([1e5]), np.array([1e9 * epochs]), np.array([1e9]))
        term = scaling_law.terms(scaling_law.internal(values)[None], rows, False)[0][0, 0, 2]
        worth = sum((1 - delta) ** k for k in range(epochs)) * 1e9
        assert term == pytest.approx(np.log(values["B"]) - values["beta"] * np.log(worth))


def test_quokka_turns_upward_with_too_many_epochs() -> None:
    scaling_law = law("quokka")
    epochs = np.geomspace(1, 1e5, 60)
    rows = Rows.of(np.full(60, 1e9), 1e8 * epochs, np.full(60, 1e8))
    loss = scaling_law.predict(scaling_law.published, rows)
    assert 0 < int(np.argmin(loss)) < 59
    assert loss[-1] > loss.min() * 1.05


def test_quokka_is_its_formula() -> None:
    n, u, e = 3e8, 1e9, 20.0
    ep = 254.35 * u**0.39 / n**0.55
    d = u * e**1.49 * np.exp(-(((e - 1) / ep) ** 0.40))
    rows = Rows.of(np.array([n]), np.array([u * e]), np.array([u]))
    predicted = law("quokka").predict(law("quokka").published, rows)[0]
    assert predicted == pytest.approx(1535.23 / n**0.42 + 54.21 / d**0.13)


def test_more_unique_tokens_than_total_are_as_many_as_total() -> None:
    few = Rows.of(np.array([1e8]), np.array([1e9]), np.array([5e9]))
    assert few.log_u[0] == pytest.approx(np.log(1e9))
    assert few.repeats[0] == 0


@pytest.mark.parametrize("name", list(LAWS))
def test_every_law_says_where_it_is_from(name: str) -> None:
    assert "arXiv" in LAWS[name].citation
    assert LAWS[name].formula
