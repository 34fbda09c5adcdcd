"""Formulas: the fitted numbers stand where the parameters stood, and LaTeX says the same."""

import pytest

from workbench.laws.formula import latex, with_numbers
from workbench.laws.law import Law
from workbench.laws.registry import LAWS


def test_numbers_stand_in_the_places_of_parameters_and_nowhere_else() -> None:
    formula = "L = E + A / N'^alpha + B / D^beta"
    values = {"E": 1.8691, "A": 520.82, "alpha": -0.35, "B": 1.2e9, "beta": 0.3, "N": 7.0}
    assert with_numbers(formula, values) == "L = 1.869 + 520.8 / N'^(-0.35) + 1.2e+09 / D^0.3"


def test_a_formula_is_read_into_fractions_powers_and_functions() -> None:
    assert latex("L = E + A / N'^alpha") == r"L = E + \frac{A}{N'^{\alpha}}"
    assert latex("D' = U (1 - exp(-(D/U - 1) / R_D))") == (
        r"D' = U \, \left(1 - \exp \left(-\frac{\frac{D}{U} - 1}{R_{D}}\right)\right)"
    )
    assert latex("y = f / (1 + exp(k (L - m)))") == (
        r"y = \frac{f}{1 + \exp \left(k \, \left(L - m\right)\right)}"
    )
    assert latex("L = 1.2e+09 U") == r"L = 1.2 \times 10^{9} \, U"
    assert latex("C = k U^p: a remark, in words") == r"C = k \, U^{p}"
    assert latex("y = (a + b) / (c + d) (e + f)") == (
        r"y = \frac{a + b}{c + d} \, \left(e + f\right)"
    )


@pytest.mark.parametrize("formula", ["words alone", "L = (1", "L = 1 ^", "L = {x}", "a = b c ="])
def test_what_is_no_formula_has_no_latex(formula: str) -> None:
    assert latex(formula) is None


@pytest.mark.parametrize("name", list(LAWS))
def test_every_law_that_predicts_has_a_formula_with_its_parameters(name: str) -> None:
    law = LAWS[name]
    if not isinstance(law, Law):
        return
    assert latex(law.formula)
    numbers = with_numbers(law.formula, dict.fromkeys(law.names, 2.5))
    assert latex(numbers)
    assert numbers.count("2.5") >= len(law.names) - 2  # R_N, and N' of two laws, are in prose
