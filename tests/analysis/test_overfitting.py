"""Where longer training starts to hurt."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_runs import MakeRun
from workbench.analysis.curves import Curve
from workbench.analysis.overfitting import onset_of_run, onset_trends, overfitting_onset
from workbench.errors import InputError
from workbench.store import ingest

STEPS = np.arange(10, 410, 10)


def valley(turn: float, seed: int = 0, noise: float = 0.01) -> dict[int, float]:
    """A loss that falls to `turn` steps and rises from there, in log steps."""
    y = 2 + np.log(STEPS / turn) ** 2 + np.random.default_rng(seed).normal(0, noise, len(STEPS))
    return dict(zip(STEPS.tolist(), y.tolist(), strict=True))


def curve(y: list[float], stderr: float = np.nan) -> Curve:
    x = np.arange(1.0, len(y) + 1)
    axes = {"tokens": 100 * x, "epochs": x}
    return Curve("r", {}, axes, np.array(y), np.full(len(y), stderr), None)


def test_a_loss_that_rises_again_has_its_onset_at_the_best() -> None:
    onset = onset_of_run(curve([3, 2, 1, 2, 3]))
    assert (onset["status"], onset["epochs"], onset["tokens"]) == ("reached", 3.0, 300.0)
    assert (onset["rise"], onset["lower_bound"], onset["noise"]) == (2.0, None, None)


def test_a_loss_still_falling_gives_a_lower_bound() -> None:
    onset = onset_of_run(curve([5, 4, 3, 2]))
    assert (onset["status"], onset["epochs"], onset["lower_bound"]) == ("not_reached", None, 4.0)
    assert onset["rise"] == 0


def test_a_rise_within_the_standard_error_is_none() -> None:
    assert onset_of_run(curve([3, 2, 2.1], stderr=0.06))["status"] == "not_reached"
    assert onset_of_run(curve([3, 2, 2.1], stderr=0.04))["status"] == "reached"


def test_the_lowest_of_many_noisy_points_is_rarely_taken_for_overfitting() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(1.0, 51)
    statuses = [
        onset_of_run(curve((2 + rng.normal(0, 0.02, 50)).tolist()))["status"] for _ in range(100)
    ]
    assert statuses.count("reached") <= 12
    risen = [
        onset_of_run(curve((2 + 3 / x + 0.01 * x + rng.normal(0, 0.02, 50)).tolist()))["status"]
        for _ in range(100)
    ]
    assert risen.count("reached") >= 95


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=7))
def test_the_rise_is_never_negative_and_either_onset_or_bound_is_given(y: list[float]) -> None:
    onset = onset_of_run(curve(y))
    assert onset["rise"] >= 0
    assert (onset["epochs"] is None) != (onset["lower_bound"] is None)
    assert (onset["status"] == "reached") == (onset["rise"] > 0)


def test_seeds_are_averaged_in_logarithms_with_an_interval(
    results: Path, make_run: MakeRun
) -> None:
    for seed, turn in enumerate((100, 120, 150)):
        make_run(f"a{seed}", valley(turn, seed), overrides=[f"training.seed={seed}"])
    make_run("m", {10: 3.0, 400: 2.0}, overrides=["training.objective='mdlm'"])
    ingest(results)
    ar, mdlm = overfitting_onset(results, "made")
    unique = ar["group"]["unique_tokens"]
    assert ar["group"]["objective"] == "ar"
    assert (ar["status"], ar["seeds"], len(ar["runs"])) == ("reached", 3, 3)
    assert ar["epochs"] == pytest.approx((100 * 120 * 150) ** (1 / 3) * 2048 / unique, rel=0.15)
    assert ar["tokens"] == pytest.approx(ar["epochs"] * unique)
    low, high = ar["ci95"]
    assert low < ar["epochs"] < high
    assert ar["rise"] > 0.5
    assert (mdlm["status"], mdlm["epochs"]) == ("not_reached", None)
    assert mdlm["lower_bound"] == pytest.approx(400 * 2048 / unique)


def test_one_seed_that_has_not_turned_makes_the_mean_a_lower_bound(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", {10: 3.0, 100: 2.0, 400: 3.0})
    make_run("b", {10: 3.0, 100: 2.5, 400: 2.0}, overrides=["training.seed=1"])
    ingest(results)
    (row,) = overfitting_onset(results, "made")
    assert (row["status"], row["epochs"], row["ci95"]) == ("not_reached", None, None)
    assert row["lower_bound"] * row["group"]["unique_tokens"] == pytest.approx(200 * 2048)
    assert row["ci95_note"] == "1 of 2 runs reached it"


def test_more_unique_tokens_overfit_later_an_objective_at_a_time(
    results: Path, make_run: MakeRun
) -> None:
    for unique, turn in ((12_800, 20), (25_600, 60), (51_200, 180)):
        u = f"data.unique_tokens={unique}"
        make_run(f"a{unique}", valley(turn, noise=0), overrides=[u])
        falling = {10: 3.0, 400: 2.0}
        make_run(f"m{unique}", falling, overrides=[u, "training.objective='mdlm'"])
    ingest(results)
    ar, mdlm = onset_trends(overfitting_onset(results, "made"), "unique_tokens")
    assert ar["group"]["objective"] == "ar"
    assert ar["exponent"] == pytest.approx(np.log2(3) - 1, abs=0.05)
    assert (ar["axis"], ar["direction"]) == ("epochs", "later")
    assert (mdlm["exponent"], mdlm["note"]) == (None, "not enough crossed")
    assert (mdlm["n_crossed"], mdlm["n_censored"]) == (0, 3)


def test_a_metric_where_higher_is_better_is_refused(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 0.5}, metric="cloze_acc")
    ingest(results)
    with pytest.raises(InputError, match="higher is better"):
        overfitting_onset(results, "made", "cloze_acc")


def test_rows_are_ready_for_json(results: Path, make_run: MakeRun) -> None:
    import json

    make_run("a", valley(100))
    ingest(results)
    rows: list[dict[str, Any]] = overfitting_onset(results, "made")
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
