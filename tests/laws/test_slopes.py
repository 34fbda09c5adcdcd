"""Gradients of every law's terms are the slopes of the terms, anywhere."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workbench.laws.isoflop import PARABOLA
from workbench.laws.law import Floats, Law, Rows
from workbench.laws.loss_to_accuracy import SIGMOID
from workbench.laws.registry import LAWS

FITTED = {name: law for name, law in LAWS.items() if isinstance(law, Law)}
FITTED |= {"parabola": PARABOLA, "sigmoid": SIGMOID}
RANGES = {
    "E": (0.01, 20.0), "A": (1e-3, 1e8), "B": (1e-3, 1e8), "alpha": (0.02, 2.0),
    "beta": (0.02, 2.0), "R_D": (0.05, 5e4), "R_N": (0.05, 5e4), "k": (1e-3, 1e6),
    "gain": (0.05, 4.0), "decay": (0.05, 1.5), "mu": (-0.5, 1.5), "nu": (-0.5, 1.5),
    "P": (1e-6, 1e2), "delta": (0.1, 2.0), "kappa": (-0.5, 2.0), "G": (0.1, 50.0),
    "a": (1e-3, 1e6), "b": (1e-3, 1e6), "c": (1e-4, 1e4), "gamma": (0.0, 1.5),
    "floor": (0.01, 1.0), "slope": (0.1, 10.0), "midpoint": (0.5, 20.0),
    "c0": (-3.0, 3.0), "c1": (-3.0, 3.0), "c2": (1e-3, 3.0),
}  # fmt: skip


def between(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def one_row(draw: st.DrawFn) -> Rows:
    """One run: no repeats, a few, or a billion; sizes from tiny to far beyond the data's."""
    log_u = draw(between(2.0, 13.0))
    extra = draw(st.one_of(st.just(0.0), between(1e-6, 3.0), between(6.0, 9.0)))
    ten = np.log(10.0)
    return Rows(
        np.array([draw(between(2.0, 13.0)) * ten]),
        np.array([(log_u + extra) * ten]),
        np.array([log_u * ten]),
    )


def difference(law: Law, theta: Floats, rows: Rows, j: int, step: float) -> Floats:
    """Central difference of fourth order of the terms (K,) in parameter j."""
    moved = np.tile(theta, (4, 1))
    moved[:, j] += step * np.array([2.0, 1.0, -1.0, -2.0])
    far, near, near_behind, far_behind = law.terms(moved, rows, False)[0][:, 0]
    return (8 * (near - near_behind) - (far - far_behind)) / (12 * step)


def from_supported(values: dict[str, float], rows: Rows) -> float:
    """log N - log of the size that the data supports: slopes bend where it is 0."""
    alpha, beta = values["alpha"], values["beta"]
    g = np.log(alpha * values["A"] / (beta * values["B"])) / (alpha + beta)
    return float(rows.log_n[0] - (g + beta / alpha * (g + rows.log_u[0])))


@pytest.mark.parametrize("name", FITTED)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_gradients_are_the_slopes_of_the_terms(name: str, data: st.DataObject) -> None:
    law = FITTED[name]
    values = {p.name: data.draw(between(*RANGES[p.name]), label=p.name) for p in law.parameters}
    rows = data.draw(one_row())
    if name.startswith("data_constrained"):
        assume(abs(from_supported(values, rows)) > 0.5)
    theta = law.internal(values)
    terms, slopes = law.terms(theta[None], rows, True)
    assert slopes is not None
    # A term of exp(-1000) is none: only its being finite matters.
    assert np.isfinite(terms).all()
    assert np.isfinite(slopes).all()
    assume(np.abs(terms).max() < 300)
    for j, parameter in enumerate(law.parameters):
        step = 1e-4 * min(1.0, max(abs(theta[j]), 0.02))
        slope = difference(law, theta, rows, j, step)
        size = np.abs(slopes[0, 0, :, j]) + np.abs(terms).max() * 1e-3 + 1e-3
        assert np.abs(slope - slopes[0, 0, :, j]).max() <= (1e-4 * size).max(), parameter.name


@pytest.mark.parametrize("side", [-2.0, 2.0])
@pytest.mark.parametrize("name", ["data_constrained", "data_constrained_geometric"])
def test_gradients_hold_below_and_above_the_supported_size(name: str, side: float) -> None:
    law = FITTED[name]
    values = LAWS["data_constrained"].published
    unique = Rows(np.zeros(1), np.log([1e11]), np.log([1e9]))
    rows = Rows(np.array([side - from_supported(values, unique)]), unique.log_d, unique.log_u)
    assert from_supported(values, rows) == pytest.approx(side)
    theta = law.internal(values)
    slopes = law.terms(theta[None], rows, True)[1]
    assert slopes is not None
    for j in range(len(theta)):
        assert difference(law, theta, rows, j, 1e-4) == pytest.approx(
            slopes[0, 0, :, j], rel=1e-6, abs=1e-7
        )
    # Parameters beyond what data supports are the only ones that R_N is about.
    assert (slopes[0, 0, 1, law.names.index("R_N")] == 0) == (side < 0)


@pytest.mark.parametrize("name", FITTED)
def test_losses_are_continuous_where_repeats_begin(name: str) -> None:
    law = FITTED[name]
    values = law.published or {p.name: float(np.mean(RANGES[p.name])) for p in law.parameters}
    if name == "data_constrained_geometric":
        values = LAWS["data_constrained"].published
    n, u = np.full(2, 1e8), np.full(2, 1e9)
    if name == "parabola":
        n, u = np.full(2, 2.0), np.full(2, 2.0)
    loss = law.predict(values, Rows.of(n, u * [1.0, 1.0 + 1e-12], u))
    assert loss[1] == pytest.approx(loss[0], rel=1e-4)
