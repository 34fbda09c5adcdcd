"""The laws themselves: values, limits and slopes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.fitting.conftest import law
from workbench.analysis.law import Law, Rows
from workbench.analysis.laws import LAWS

FITTED = [name for name, one in LAWS.items() if isinstance(one, Law)]
ROWS = Rows.of(
    np.array([1.37e6, 1.23e8, 1.71e9, 1.19e11, 3.3e8]),  # off the sizes that round values support
    np.array([1e9, 1e9, 1e10, 5e12, 1e9]),
    np.array([1e9, 1e8, 1e7, 1e9, 9.99e8]),
)


@pytest.mark.parametrize("name", FITTED)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_slopes_agree_with_differences(name: str, data: st.DataObject) -> None:
    one = law(name)
    theta = np.array(
        [
            data.draw(st.floats(*sorted(map(p.to_internal, _inner(one, p.name)))))
            for p in one.parameters
        ]
    )
    terms, slopes = one.terms(theta[None], ROWS, True)
    assert slopes is not None
    for j in range(len(theta)):
        moved = np.tile(theta, (2, 1))
        step = 1e-6 * max(1.0, abs(theta[j]))
        moved[0, j] += step
        moved[1, j] -= step
        ahead, behind = one.terms(moved, ROWS, False)[0]
        difference = (ahead - behind) / (2 * step)
        rounding = 1e-14 * np.abs(terms[0]).max() / step
        close = np.isclose(slopes[0, ..., j], difference, rtol=1e-4, atol=1e-5 + rounding)
        # Where N meets the supported size the slope jumps, and a difference straddles it.
        near_kink = np.abs(ahead - 2 * terms[0] + behind) > 1e-7
        assert (close | near_kink).all()


def _inner(one: Law, name: str) -> tuple[float, float]:
    """A range where nothing over- or underflows."""
    ranges = {
        "E": (0.5, 3.0), "A": (10.0, 1e4), "B": (10.0, 1e5), "alpha": (0.1, 0.8),
        "beta": (0.1, 0.8), "R_D": (0.5, 500.0), "R_N": (0.5, 500.0), "k": (1.0, 1e4),
        "gain": (0.5, 2.0), "decay": (0.2, 1.5), "mu": (0.0, 0.6), "nu": (0.0, 0.8),
    }  # fmt: skip
    return ranges[name]


def test_chinchilla_is_its_formula() -> None:
    found = law("chinchilla").predict(law("chinchilla").published, ROWS)
    n, d = np.exp(ROWS.log_n), np.exp(ROWS.log_d)
    assert found == pytest.approx(1.8172 + 482.01 / n**0.3478 + 2085.43 / d**0.3658)


@pytest.mark.parametrize("name", ["data_constrained", "data_constrained_geometric"])
def test_without_repeats_and_excess_it_is_chinchilla(name: str) -> None:
    values = law("data_constrained").published
    n, d = np.array([1e6, 3e6]), np.array([1e11, 1e12])
    found = law(name).predict(values, Rows.of(n, d, d))
    plain = {k: values[k] for k in ("E", "A", "B", "alpha", "beta")}
    assert found == pytest.approx(law("chinchilla").predict(plain, Rows.of(n, d, d)), rel=1e-12)


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
    one = law("data_constrained_geometric")
    for epochs in (1, 2, 5):
        rows = Rows.of(np.array([1e5]), np.array([1e9 * epochs]), np.array([1e9]))
        term = one.terms(one.internal(values)[None], rows, False)[0][0, 0, 2]
        worth = sum((1 - delta) ** k for k in range(epochs)) * 1e9
        assert term == pytest.approx(np.log(values["B"]) - values["beta"] * np.log(worth))


def test_quokka_turns_upward_with_too_many_epochs() -> None:
    one = law("quokka")
    epochs = np.geomspace(1, 1e5, 60)
    rows = Rows.of(np.full(60, 1e9), 1e8 * epochs, np.full(60, 1e8))
    loss = one.predict(one.published, rows)
    assert 0 < int(np.argmin(loss)) < 59
    assert loss[-1] > loss.min() * 1.05


def test_quokka_is_its_formula() -> None:
    n, u, e = 3e8, 1e9, 20.0
    ep = 254.35 * u**0.39 / n**0.55
    d = u * e**1.49 * np.exp(-(((e - 1) / ep) ** 0.40))
    rows = Rows.of(np.array([n]), np.array([u * e]), np.array([u]))
    found = law("quokka").predict(law("quokka").published, rows)[0]
    assert found == pytest.approx(1535.23 / n**0.42 + 54.21 / d**0.13)


def test_more_unique_tokens_than_total_are_as_many_as_total() -> None:
    few = Rows.of(np.array([1e8]), np.array([1e9]), np.array([5e9]))
    assert few.log_u[0] == pytest.approx(np.log(1e9))
    assert few.repeats[0] == 0


@pytest.mark.parametrize("name", list(LAWS))
def test_every_law_says_where_it_is_from(name: str) -> None:
    assert "arXiv" in LAWS[name].citation
    assert LAWS[name].formula
