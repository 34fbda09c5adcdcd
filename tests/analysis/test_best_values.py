"""Which value of a tuned key is best, read from runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_rates import OPTIMA, RATES, made_loss, make_rates
from tests.made_runs import MakeRun, run_maker
from workbench.analysis.best_values import best_values
from workbench.analysis.table_rows import best_value_table_row
from workbench.errors import InputError
from workbench.store import ingest

AR = {("ar", 100_000): 5e-3}
BETWEEN = {("ar", 100_000): float(np.sqrt(2e-3 * 4e-3))}
"""As good at 0.002 as at 0.004."""
BEYOND = {("ar", 100_000): 0.1, ("mdlm", 100_000): 1e-4}
SHAPE = ["model.width=32", "model.heads=1", "model.layers=1"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study for every question, in one store."""
    folder = tmp_path_factory.mktemp("best") / "results"
    make_run = run_maker(folder)
    make_rates(make_run)
    make_rates(make_run, BETWEEN, study="ties", noise=0.01)
    make_rates(make_run, BEYOND, study="edges", seeds=(0, 1))
    make_rates(make_run, AR, study="one-seed", seeds=[0])
    make_rates(make_run, AR, study="documents", seeds=[0], items=[0.1, -0.2, 0.1, 0.3, -0.3])
    make_rates(make_run, AR, study="luck")
    for rate, state in ((0.03, "finished"), (0.06, "running")):
        own = [f"training.lr={rate}", "training.seed=0", "data.seed=0", *SHAPE]
        make_run(f"luck-{state}", {200: 0.1}, study="luck", state=state, n_params=100_000,
                 overrides=own)  # fmt: skip
    for rate, value in zip(RATES, (0.3, 0.5, 0.6, 0.55, 0.2), strict=True):
        make_run(f"a{rate}", {100: value}, study="accuracy", metric="cloze_acc",
                 overrides=[f"training.lr={rate}"])  # fmt: skip
    for decay, loss in (("cosine", 2.0), ("linear", 1.9), ("exponential", 2.1)):
        make_run(decay, {9: loss}, study="words", overrides=[f"training.decay='{decay}'"])
    _batches(make_run)
    ingest(folder)
    return folder


def _batches(make_run: MakeRun) -> None:
    """Batch sizes: with a warm-up of equal tokens, with warm-ups of their own, and each with a best
    rate of its own."""
    for batch, loss in ((8, 2.2), (16, 2.0), (32, 2.1)):
        own = [f"training.batch_size={batch}", "training.warmup_tokens=20_480"]
        make_run(f"b{batch}", {100: loss}, study="batches", overrides=own)
    for warmup in (2, 50):
        for batch, loss in ((8, 2.2), (16, 2.0)):
            own = [f"training.batch_size={batch}", f"training.warmup_steps={warmup}"]
            make_run(f"w{batch}-{warmup}", {100: loss}, study="warm-ups", overrides=own)
    lowest = {8: 2.1, 16: 2.0, 32: 2.05}
    for batch, best in BEST_RATES.items():
        for rate in (1e-3, 2e-3, 4e-3):
            own = [f"training.batch_size={batch}", f"training.lr={rate}",
                   "training.warmup_tokens=20_480"]  # fmt: skip
            loss = made_loss(rate, best, lowest[batch])
            make_run(f"b{batch}-{rate}", {100: loss}, study="along", overrides=own)


BEST_RATES = {8: 1e-3, 16: 2e-3, 32: 4e-3}
"""By batch size."""


def asked(
    results: Path, study: str = "made", key: str = "training.lr", **options: Any
) -> list[dict[str, Any]]:
    return [one.row for one in best_values(results, study, key, **options)]


@pytest.mark.parametrize("at", ["last", "best"])
def test_every_objective_and_size_has_its_own_best_rate(results: Path, at: str) -> None:
    rows = asked(results, at=at)
    found = {(row["objective"], row["group"]["n_params"]): row for row in rows}
    assert found.keys() == OPTIMA.keys()
    for key, row in found.items():
        assert row["optimum"] == pytest.approx(OPTIMA[key], rel=0.1)
        assert row["ci95"][0] < row["optimum"] < row["ci95"][1] < 1.3 * row["ci95"][0]
        assert row["best"] == min(RATES, key=lambda rate: made_loss(rate, OPTIMA[key]))
        assert row["value_at_optimum"] < min(one["mean"] for one in row["values"])
        assert [one["value"] for one in row["values"]] == list(RATES)
        assert (row["bound"], row["seeds"], len(row["runs"])) == (None, 3, 15)


def test_the_cost_of_another_value_is_paired_over_seeds(results: Path) -> None:
    """Seeds differ by 0.1, which the intervals of means have and those of costs do not."""
    row = asked(results)[0]
    best = OPTIMA["ar", 100_000]
    for one in row["values"]:
        if one["value"] == row["best"]:
            assert (one["cost"], one["cost_ci95"], one["tied"]) == (0, None, True)
            continue
        cost = made_loss(one["value"], best) - made_loss(row["best"], best)
        low, high = one["cost_ci95"]
        assert low <= cost <= high < low + 0.04
        assert one["ci95"][1] - one["ci95"][0] > 0.1
        assert not one["tied"]


def test_values_that_are_not_surely_worse_are_ties(results: Path) -> None:
    (row,) = asked(results, "ties")
    assert {row["best"], *row["ties"]} == {2e-3, 4e-3}
    assert str(best_value_table_row(row)["ties"]) in ("0.002", "0.004")


def test_an_optimum_beyond_the_grid_is_a_bound(results: Path) -> None:
    high, low = asked(results, "edges")
    assert (high["optimum"], high["bound"], low["optimum"], low["bound"]) == (
        None, "lower", None, "upper",
    )  # fmt: skip
    assert high["ci95"] == [high["lower_bound"], None] == [pytest.approx(8e-3), None]
    assert low["ci95"] == [None, low["upper_bound"]] == [None, pytest.approx(2e-3)]
    texts = [best_value_table_row(row)["optimum"] for row in (high, low)]
    assert texts == ["> 0.008 (edge)", "< 0.002 (edge)"]


def test_of_accuracies_the_highest_is_best(results: Path) -> None:
    (row,) = asked(results, "accuracy", metric="cloze_acc")
    assert row["best"] == 4e-3
    assert 4e-3 < row["optimum"] < 8e-3
    assert row["value_at_optimum"] > 0.6
    assert [round(one["cost"], 6) for one in row["values"]] == [0.3, 0.1, 0.0, 0.05, 0.4]


def test_one_seed_has_a_best_value_and_no_interval(results: Path) -> None:
    (row,) = asked(results, "one-seed")
    assert row["optimum"] == pytest.approx(5e-3, rel=0.1)
    assert (row["ci95"], row["ties"]) == (None, [])
    assert "one seed" in row["ci95_note"]


def test_documents_are_in_the_interval_of_one_seed(results: Path) -> None:
    (row,) = asked(results, "documents")
    assert row["over"] == "documents"
    assert "what differs between seeds" in row["ci95_note"]
    assert row["ci95"] is not None


def test_a_value_without_the_seeds_of_the_others_is_not_chosen(results: Path) -> None:
    """A run that failed, or that still trains, would make its rate the luckiest of all."""
    (row,) = asked(results, "luck")
    assert row["best"] == 4e-3
    assert [one["value"] for one in row["values"]] == list(RATES)
    assert "0.03" in row["note"]
    assert row["unfinished"] == ["luck-running"]


def test_batch_sizes_are_one_group_though_their_warm_up_has_other_steps(results: Path) -> None:
    (row,) = asked(results, "batches", "batch_size")
    assert row["key"] == "training.batch_size"
    assert [one["value"] for one in row["values"]] == [8, 16, 32]
    assert 16 < row["optimum"] < 32


def test_a_warm_up_that_is_no_matter_of_the_batch_separates_groups(results: Path) -> None:
    rows = asked(results, "warm-ups", "training.batch_size")
    assert [row["group"]["training.warmup_steps"] for row in rows] == [2, 50]


def test_keys_that_are_tuned_along_are_at_their_best(results: Path) -> None:
    """At one rate for all, the batch size whose best rate that is would win."""
    assert [row["best"] for row in asked(results, "along", "batch_size")] == [8, 16, 32]
    (row,) = asked(results, "along", "batch_size", along=["lr"])
    assert row["best"] == 16
    assert [one["along"]["training.lr"] for one in row["values"]] == list(BEST_RATES.values())


def test_words_have_a_best_and_no_parabola(results: Path) -> None:
    (row,) = asked(results, "words", "training.decay")
    assert (row["best"], row["optimum"], row["bound"]) == ("linear", None, None)
    assert [one["value"] for one in row["values"]] == ["cosine", "exponential", "linear"]
    assert "no parabola" in row["note"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "training.lrr"}, "--key: unknown key training.lrr, did you mean 'training.lr'"),
        ({"key": "seed"}, "--key seed: several keys end so: data.seed, training.seed"),
        ({"key": "weight_decay"}, "no two runs differ in training.weight_decay"),
        ({"along": ["nonsense"]}, "--along: unknown key nonsense"),
        ({"at": "end"}, "--at end"),
        ({"over": "runs"}, "--over runs"),
    ],
)
def test_what_cannot_be_asked_is_refused(results: Path, options: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        asked(results, **options)
    assert message in str(refused.value)
