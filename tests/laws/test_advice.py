"""Advice: which objective, size and epochs promise the lowest loss."""

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.laws.advice import advise
from workbench.laws.best_loss import critical_compute, frontier
from workbench.laws.law import Law, Rows
from workbench.laws.predictors import Predictor, published_predictors
from workbench.laws.registry import LAWS


def predictor(objective: str, draws: int = 0, **changes: float) -> Predictor:
    """A data-constrained law, near the published one, with resamples around it."""
    law = LAWS["data_constrained"]
    assert isinstance(law, Law)
    theta = law.internal({**law.published, **changes})[None]
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (draws, theta.shape[1]))
    return Predictor(
        objective,
        law,
        np.vstack([theta, theta + noise]),
        {"n_params": (1e7, 1e9), "unique_tokens": (1e8, 1e9)},
        "one study",
        "nll" if objective == "ar" else "nelbo",
    )


def test_the_frontier_never_rises_and_is_paid_for_by_its_compute() -> None:
    front = frontier(predictor("ar"), 1e8)
    assert (np.diff(front.loss[0]) <= 0).all()
    assert (6 * front.n_params[0] * front.total_tokens[0] <= front.compute * (1 + 1e-9)).all()


def test_the_best_size_is_close_to_what_a_finer_search_finds() -> None:
    ar = predictor("ar")
    law, compute = ar.law, 1e20
    sizes = np.geomspace(1e6, 1e11, 20_001)
    rows = Rows.of(sizes, compute / 6 / sizes, np.full(len(sizes), 1e9))
    finest = np.exp(law.log_loss(ar.theta[0], rows)).min()
    front = frontier(ar, 1e9)
    assert front.loss[0, front.at(compute)] == pytest.approx(finest, rel=2e-3)


def test_the_choice_flips_at_the_critical_compute() -> None:
    # The challenger starts behind (B larger) and wastes fewer repeats (R_D larger).
    pair = [predictor("ar"), predictor("mdlm", B=2500.0, R_D=500.0, R_N=500.0)]
    advice = advise(pair, 1e8, 1e18)
    place = advice["critical_compute"]["value"]
    assert advice["critical_compute"]["status"] == "crossed"
    assert advise(pair, 1e8, place / 3)["choice"] == "ar"
    assert advise(pair, 1e8, place * 3)["choice"] == "mdlm"


def test_laws_that_never_cross_have_no_critical_compute() -> None:
    better = [frontier(predictor(name, E=e), 1e8) for name, e in (("ar", 2.0), ("mdlm", 1.5))]
    assert critical_compute(better)["status"] == "ahead_throughout"
    assert critical_compute(better[::-1])["status"] == "not_reached"
    assert critical_compute(better)["value"] is None


def test_resamples_give_intervals_and_a_share_that_agrees() -> None:
    advice = advise([predictor("ar", 50), predictor("mdlm", 50, R_D=500.0, B=2500.0)], 1e8, 1e22)
    for option in advice["options"]:
        low, high = option["loss_ci95"]
        assert low < option["loss"] < high
    assert 0 < advice["confidence"] <= 1


def test_what_lies_outside_the_fitted_range_is_noted() -> None:
    option = advise([predictor("ar"), predictor("mdlm")], 1e11, 1e24)["options"][0]
    assert "times above the largest fitted" in option["outside"]["unique_tokens"]
    assert "n_params" in option["outside"]


def test_a_limit_on_parameters_holds() -> None:
    advice = advise([predictor("ar"), predictor("mdlm")], 1e9, 1e22, params_max=5e7)
    assert all(option["n_params"] <= 5e7 * (1 + 1e-9) for option in advice["options"])


def test_published_laws_of_different_corpora_are_not_compared_by_loss() -> None:
    """Prabhudesai et al.: 4.72e19 FLOPs at 1e8 unique tokens."""
    below, above = (advise(published_predictors(), 1e8, c) for c in (1e19, 1e20))
    assert below["critical_compute"]["value"] == pytest.approx(4.72e19, rel=1e-3)
    assert (below["choice"], above["choice"]) == ("ar", "mdlm")
    assert below["confidence"] is None
    assert any("NELBO" in note for note in below["notes"])
    assert any("not compared" in note for note in below["notes"])


def test_hardly_more_loss_is_offered_for_less_compute() -> None:
    option = advise(published_predictors(), 1e8, 1e22)["options"][0]
    assert option["enough"]["loss"] <= option["loss"] * 1.001
    assert option["enough"]["compute"] < 1e21  # AR's law has long saturated


def test_too_little_compute_is_refused() -> None:
    with pytest.raises(InputError, match="too little"):
        advise(published_predictors(), 1e8, 1e9)
    with pytest.raises(InputError, match="params-max"):
        advise(published_predictors(), 1e8, 1e18, params_max=5.0)
