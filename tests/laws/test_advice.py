"""Advice: which objective, size and epochs promise the lowest loss."""

from pathlib import Path

import numpy as np
import pytest

from tests.laws.measured import measured
from workbench.errors import InputError
from workbench.laws.advice import advice_lines, advise
from workbench.laws.best_loss import critical_compute, frontier
from workbench.laws.evidence import Evidence, gather
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


def test_where_figure_1_has_diffusion_ahead_it_is_advised() -> None:
    """0.5B unique tokens and 96B tokens of a 1B model: diffusion leads on all three metrics."""
    advice = advise(published_predictors(), 5e8, 5.8e20, evidence=gather(Path("no results")))
    assert (advice["choice"], advice["choice_from"]) == ("mdlm", "measured crossovers")
    low, high = advice["critical_compute"]["range"]
    assert low < 1.38e19  # the earliest and the latest that were measured there
    assert 1.34e20 < high < 5.8e20
    assert advice["published_critical_compute"] > 5.8e20
    assert advice["evidence"]["disagreement"] > 20


def test_epochs_by_a_law_that_cannot_turn_upward_are_not_advised_in_silence() -> None:
    reference = gather(Path("no results"))
    advice = advise(published_predictors(), 5e8, 5.8e20, evidence=reference)
    assert advice["options"][0]["epochs"] > 100
    (note,) = (note for note in advice["notes"] if "turn upward" in note)
    assert note.startswith("ar: ")
    assert "best after 2.69 to 3.35 epochs, and then rose (reference)" in note
    # Quokka's law turns upward, and within one epoch nothing is repeated.
    assert not any("mdlm" in note and "turn upward" in note for note in advice["notes"])
    once = advise(published_predictors(), 1e12, 1e20, evidence=reference)
    assert once["options"][0]["epochs"] < 1
    assert not any("turn upward" in note for note in once["notes"])


def test_the_source_used_tells_how_far_outside_its_data_the_advice_is() -> None:
    evidence = Evidence([measured(1e8, c, n_params=1e8) for c in (1e18, 2e18, 4e18)])
    advice = advise(published_predictors(), 4e8, 1e22, evidence=evidence)
    source = advice["evidence"]["sources"][0]
    assert advice["evidence"]["used"] == source["kind"] == "measured crossovers"
    chosen = next(o for o in advice["options"] if o["objective"] == advice["choice"])
    assert source["outside"]["unique_tokens"] == pytest.approx(4.0)
    assert source["outside"]["compute"] == pytest.approx(1e22 / (3 * 4e18))
    assert source["outside"]["n_params"] == pytest.approx(chosen["n_params"] / 1e8)
    assert source["outside"]["epochs"] == pytest.approx(chosen["epochs"] / (3 * 4e18 / 6e16))
    assert "4 times in unique tokens" in "\n".join(advice_lines(advice))


def test_compute_where_crossovers_may_be_is_called_so() -> None:
    evidence = Evidence([measured(1e8, c) for c in (1e18, 2e18, 4e18)])
    unsure, sure = (advise(published_predictors(), 1e8, c, evidence=evidence) for c in (3e18, 1e22))
    assert any("either may be ahead" in note for note in unsure["notes"])
    assert not any("either may be ahead" in note for note in sure["notes"])


def test_measured_crossovers_count_before_a_study_s_own_fits() -> None:
    pair = [predictor("ar", 50), predictor("mdlm", 50, B=2500.0, R_D=500.0, R_N=500.0)]
    fitted = advise(pair, 1e8, 1e18)
    place = fitted["critical_compute"]["value"]
    assert fitted["choice_from"] == "predicted losses"
    later = Evidence([measured(1e8, place * 100)])
    advice = advise(pair, 1e8, place * 10, evidence=later)
    assert (advice["choice"], advice["choice_from"]) == ("ar", "measured crossovers")
    assert advice["critical_compute"]["value"] == pytest.approx(place * 100)
    assert advice["evidence"]["disagreement"] >= 100 * (1 - 1e-6)
    assert advice["confidence"] == advise(pair, 1e8, place * 10)["confidence"]
