"""Reading crossovers from a results folder and from the shipped curves."""

from pathlib import Path

import polars as pl
import pytest

from tests.laws.measured import measured
from tests.made_runs import MakeRun
from workbench.importing.importer import import_runs
from workbench.laws.measured_crossovers import (
    measured_crossovers,
    nearest_readings,
    ranges_of,
    text_of,
)
from workbench.store import ingest
from workbench.store.parquet.export import export_parquet

STEPS = range(1, 400, 10)
TOKENS = 2048  # of a step


def pair(make_run: MakeRun, name: str, at: float, *overrides: str, **options: object) -> None:
    """AR's loss falls to step 100 and then rises; diffusion's passes it at a step for good."""
    ar = {s: 3.0 + abs(s - 100) / 1000 for s in STEPS}
    lead = {s: (s - at) / 400 for s in STEPS}
    make_run(f"a{name}", ar, overrides=list(overrides), **options)
    make_run(f"d{name}", {s: ar[s] - lead[s] for s in STEPS},
             overrides=[*overrides, "training.objective='mdlm'"], **options)  # fmt: skip


def of(study: str, results: Path) -> list:
    return [point for point in measured_crossovers(results) if point.study == study]


def test_the_shipped_curves_are_there_without_results(tmp_path: Path) -> None:
    """Six curves, twice: computes as 6 N D, point by point and against AR's best so far."""
    found = {
        (p.unique_tokens, p.metric, p.definition): p
        for p in of("reference", tmp_path / "nothing")
        if p.status == "crossed"
    }
    expected = {
        (5e8, "val_loss"): (1.4e19, 2.7e19),
        (5e8, "hellaswag_acc_norm"): (1.0e20, 1.0e20),
        (5e8, "mmlu_acc_norm"): (7.5e19, 1.3e20),
        (1e9, "val_loss"): (8.4e19, 1.6e20),
        (1e9, "hellaswag_acc_norm"): (2.6e20, 2.7e20),
        (1e9, "mmlu_acc_norm"): (2.2e20, 4.6e20),
    }
    for (unique, metric), readings in expected.items():
        for definition, compute in zip(("point", "best_so_far"), readings, strict=True):
            point = found.pop((unique, metric, definition))
            assert point.compute == pytest.approx(compute, rel=0.05)
    assert not found


def test_shipped_curves_that_were_imported_too_count_once(results: Path) -> None:
    import_runs("reference", "again", results)
    alone = measured_crossovers(results.parent / "nothing")
    both = measured_crossovers(results)
    assert len(both) == len(alone)
    assert {p.study for p in both} == {p.study for p in alone} - {"reference"} | {"again"}


def test_a_pair_is_read_in_both_ways_with_its_bounds(results: Path, make_run: MakeRun) -> None:
    pair(make_run, "x", 150)
    pair(make_run, "y", 1_000, "data.unique_tokens=32000")
    pair(make_run, "z", -10, "data.unique_tokens=6400")
    ingest(results)
    rows = {(p.unique_tokens, p.definition): p for p in of("made", results)}
    crossed, token = rows[12_800, "point"], 6 * 181_440 * TOKENS
    assert crossed.status == "crossed"
    assert crossed.compute == pytest.approx(150 * token, rel=0.01)
    assert rows[12_800, "best_so_far"].compute > crossed.compute
    assert crossed.baseline_best_epochs == pytest.approx(101 * TOKENS / 12_800, rel=0.1)
    last, first = rows[32_000, "point"], rows[6_400, "point"]
    assert (last.status, first.status) == ("not_reached", "ahead_throughout")
    assert last.compute == pytest.approx(391 * token)
    assert first.compute == pytest.approx(token)


def test_runs_that_studies_share_count_once(results: Path, make_run: MakeRun) -> None:
    pair(make_run, "x", 150)
    ingest(results)
    before = measured_crossovers(results)
    study = results / "studies" / "made.json"
    (results / "studies" / "twice.json").write_text(study.read_text().replace('"made"', '"twice"'))
    ingest(results)
    assert len(measured_crossovers(results)) == len(before)


def test_accuracies_count_and_other_numbers_do_not(results: Path, make_run: MakeRun) -> None:
    for metric in ("cloze_acc", "tokens_per_second", "val_bpb", "cloze_chance_bigram"):
        pair(make_run, metric, 150, metric=metric)
    ingest(results)
    assert {p.metric for p in of("made", results)} == {"cloze_acc"}
    asked = measured_crossovers(results, "val_bpb")
    assert {p.metric for p in asked if p.study == "made"} == {"cloze_acc", "val_bpb"}


@pytest.mark.parametrize(("end", "turned"), [(0.99, False), (1.0009, False), (1.002, True)])
def test_the_best_epoch_of_ar_is_known_where_it_became_worse_by_a_thousandth(
    results: Path, make_run: MakeRun, end: float, turned: bool
) -> None:
    *steps, last = STEPS
    falling = {s: 3.0 - s / 1000 for s in steps}
    make_run("a", falling | {last: falling[steps[-1]] * end})
    make_run("d", {s: 3.1 - s / 500 for s in STEPS}, overrides=["training.objective='mdlm'"])
    ingest(results)
    best = {point.baseline_best_epochs for point in of("made", results)}
    assert best == {steps[-1] * TOKENS / 12_800 if turned else None}


def test_the_nearest_readings_have_the_extremes_of_their_metric() -> None:
    points = [
        measured(1e6, 3e12),
        measured(1e6, 1e12),
        measured(1e6, 9e11, "not_reached"),
        measured(1e6, 8e11, "not_reached"),
        measured(1e6, 5e11, "ahead_throughout", metric="a_acc"),
        measured(1e6, 2e12, definition="best_so_far"),
        measured(4e6, 7e12),
    ]
    head = {"unique_tokens": 1e6, "lower_bound": None}
    assert nearest_readings(points, 1.5e6) == (
        {**head, "metric": "a_acc", "definition": "point", "low": None, "high": None},
        {**head, "metric": "val_loss", "definition": "best_so_far", "low": 2e12, "high": 2e12},
        {"unique_tokens": 1e6, "metric": "val_loss", "definition": "point", "low": 1e12,
         "high": 3e12, "lower_bound": 9e11},
    )  # fmt: skip
    assert text_of(points) == "7 pairs of curves of s: 4 readings crossed, 3 bounds"


def test_many_studies_are_named_in_part() -> None:
    points = [measured(1e6, 1e12, study=name) for name in "edcba"]
    assert "of a, b, c and 2 more:" in text_of(points)


def test_the_ranges_hold_all_that_was_compared() -> None:
    """A crossover's curves begin at a hundredth of its tokens and end at three times as many."""
    points = [measured(1e6, 6e12, n_params=1e6), measured(4e6, 6e13, n_params=1e7)]
    assert ranges_of(points) == {
        "unique_tokens": (1e6, 4e6),
        "n_params": (1e6, 1e7),
        "epochs": pytest.approx((1e6 / 100 / 4e6, 3.0)),
        "compute": pytest.approx((6e10, 1.8e14)),
    }


def test_curves_without_a_size_or_a_challenger_are_left_out(results: Path) -> None:
    rows = [
        {"objective": o, "n_params": 10_000, "unique_tokens": 1_000 * u, "metric": "val_loss",
         "total_tokens": 1_000 * t, "value": 3.0 - (o == "mdlm") * (t - 150) / 1e3}
        for o in ("ar", "mdlm") for u in (100, 200) for t in (100, 200, 300)
        if (o, u) != ("mdlm", 200)
    ]  # fmt: skip
    pl.DataFrame(rows).write_csv(results.parent / "t.csv")
    import_runs(results.parent / "t.csv", "mine", results)
    assert {p.unique_tokens for p in of("mine", results)} == {100_000}


def test_a_dataset_says_what_its_store_does(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    pair(make_run, "x", 150)
    ingest(results)
    export_parquet(results, str(tmp_path / "dataset"))
    assert measured_crossovers(tmp_path / "dataset") == measured_crossovers(results)
