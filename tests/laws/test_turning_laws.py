"""Laws that can turn upward: their formulas, what they are without repeats, where they turn."""

import numpy as np
import pytest

from tests.laws.fitting.conftest import law
from workbench.laws.law import Floats, Rows

SUM = {"E": 1.7, "A": 350.0, "B": 900.0, "alpha": 0.33, "beta": 0.31}
PENALTY = {"P": 0.002, "delta": 0.8, "kappa": 0.4}
FLATTENING = {**SUM, "R_D": 9.0, **PENALTY}
SATURATING = {
    "E": 0.6, "G": 5.0, "a": 60.0, "b": 150.0, "c": 2.0, "alpha": 0.32, "beta": 0.3,
    "gamma": 0.3, "delta": 0.45,
}  # fmt: skip


def along_epochs(n: float, unique: float, most: float) -> tuple[Floats, Rows]:
    epochs = np.geomspace(1, most, 80)
    return epochs, Rows.of(np.full(80, n), unique * epochs, np.full(80, unique))


def test_the_penalty_is_its_formula() -> None:
    n, u, e = 3e8, 1e9, 20.0
    rows = Rows.of(np.array([n]), np.array([u * e]), np.array([u]))
    plain = 1.7 + 350 / n**0.33 + 900 / (u * e) ** 0.31
    predicted = law("overfitting_penalty").predict({**SUM, **PENALTY}, rows)[0]
    assert predicted == pytest.approx(plain + 0.002 * 19**0.8 * (n / u) ** 0.4, rel=1e-12)
    worth = u * (1 + 9 * (1 - np.exp(-19 / 9)))
    flattening = 1.7 + 350 / n**0.33 + 900 / worth**0.31
    predicted = law("data_constrained_penalty").predict(FLATTENING, rows)[0]
    assert predicted == pytest.approx(flattening + 0.002 * 19**0.8 * (n / u) ** 0.4, rel=1e-12)


def test_saturating_is_its_formula() -> None:
    n, u, d = 3e8, 1e9, 2e10
    h = 60 / n**0.32 + 150 / d**0.3 + 2 * n**0.3 / u**0.45
    rows = Rows.of(np.array([n]), np.array([d]), np.array([u]))
    predicted = law("saturating").predict(SATURATING, rows)[0]
    assert predicted == pytest.approx(0.6 + 5 * h / (1 + h), rel=1e-12)


@pytest.mark.parametrize("name", ["overfitting_penalty", "data_constrained_penalty"])
def test_without_repeats_or_penalty_it_is_the_law_beneath(name: str) -> None:
    n, u = np.array([1e6, 3e8, 2e9]), np.array([1e9, 1e8, 1e10])
    once = Rows.of(n, u, u)
    values = {k: v for k, v in FLATTENING.items() if k in law(name).names}
    assert law(name).predict(values, once) == pytest.approx(
        law("chinchilla").predict(SUM, once), rel=1e-12
    )
    repeated = Rows.of(n, 30 * u, u)
    without = law(name).predict({**values, "P": 1e-12}, repeated)
    beneath = {"R_D": 9.0, "R_N": 1e5}
    if name == "overfitting_penalty":
        expected = law("chinchilla").predict(SUM, repeated)
    else:
        expected = law("data_constrained").predict({**SUM, **beneath}, repeated)
    assert without == pytest.approx(expected, rel=1e-4)  # N far beyond R_N's reach


def test_repeats_of_full_worth_leave_the_published_penalty() -> None:
    _, rows = along_epochs(3e8, 1e8, 300)
    assert law("data_constrained_penalty").predict({**FLATTENING, "R_D": 1e5}, rows) == (
        pytest.approx(law("overfitting_penalty").predict({**SUM, **PENALTY}, rows), rel=1e-3)
    )


@pytest.mark.parametrize("name", ["overfitting_penalty", "data_constrained_penalty"])
def test_loss_turns_upward_and_sooner_for_larger_models(name: str) -> None:
    values = {k: v for k, v in FLATTENING.items() if k in law(name).names}
    turns = []
    for n in (1e8, 1e9, 1e10):
        epochs, rows = along_epochs(n, 1e8, 1e4)
        loss = law(name).predict(values, rows)
        assert loss[-1] > loss.min() * 1.05
        turns.append(epochs[int(np.argmin(loss))])
    assert 1 < turns[2] < turns[1] < turns[0] < 1e4


def test_saturating_turns_with_size_alone_and_stays_below_an_uninformed_guess() -> None:
    sizes = np.geomspace(1e6, 1e14, 80)
    rows = Rows.of(sizes, np.full(80, 1e11), np.full(80, 1e8))
    loss = law("saturating").predict(SATURATING, rows)
    assert 0 < int(np.argmin(loss)) < 79
    assert loss.max() < 5.6
    _, longer = along_epochs(3e8, 1e8, 1e5)
    assert (np.diff(law("saturating").predict(SATURATING, longer)) < 0).all()
    tiny = Rows.of(np.array([10.0]), np.array([10.0]), np.array([10.0]))
    assert law("saturating").predict(SATURATING, tiny)[0] == pytest.approx(5.6, rel=0.05)
