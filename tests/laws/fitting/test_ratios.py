"""Parameters of one objective over those of the baseline."""

import numpy as np
import pytest

from tests.laws.fitting.conftest import law
from tests.laws.fitting.test_fit import two_objectives
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.ratios import Estimates, parameter_ratios
from workbench.laws.fitting.result import summary


def estimates(value: float, factor: float, identified: bool = True) -> Estimates:
    return Estimates({"R_D": value}, {"R_D": (value / factor, value * factor)}, {"R_D": identified})


def test_half_widths_of_logarithms_add_in_quadrature() -> None:
    ratio = parameter_ratios(estimates(500, np.exp(0.3)), estimates(15, np.exp(0.4)))["R_D"]
    assert ratio["value"] == pytest.approx(500 / 15)
    assert ratio["ci95"] == pytest.approx([500 / 15 * np.exp(-0.5), 500 / 15 * np.exp(0.5)])


def test_what_one_side_does_not_identify_has_no_ratio() -> None:
    assert parameter_ratios(estimates(500, 2), estimates(15, 2, identified=False)) == {}


def test_an_unbounded_side_leaves_no_interval() -> None:
    open_ended = Estimates({"R_D": 15.0}, {"R_D": (3.0, None)}, {"R_D": True})
    ratio = parameter_ratios(estimates(500, 2), open_ended)["R_D"]
    assert ratio["value"] == pytest.approx(500 / 15)
    assert ratio["ci95"] is None


@pytest.mark.slow
def test_separate_fits_say_how_many_times_larger_a_parameter_is() -> None:
    options = FitOptions(resamples=50, starts=16)
    ar, mdlm = fit_law(law("chinchilla"), two_objectives(0.002), options)
    assert ar.ratios is None
    assert mdlm.ratios is not None
    low, high = mdlm.ratios["E"]["ci95"]
    assert low < 2.0 / law("chinchilla").published["E"] < high
    assert any(line.startswith("Over those of ar") and "E 1.1" in line for line in summary(mdlm))
    assert mdlm.row()["ratios"] == mdlm.ratios
