"""Values of runs document by document."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.made_runs import MakeRun
from workbench.analysis.budgets import At
from workbench.analysis.curves import load_curves
from workbench.analysis.document_curves import (
    OTHER_WINDOWS,
    WITHOUT_ITEMS,
    document_curves,
    lead_along,
    paired,
    seeds_difference,
)
from workbench.analysis.effective_data import effective_data
from workbench.analysis.pairing import Pair, compared_pairs
from workbench.runs.folder import RunFolder
from workbench.runs.items import TRAINING, Items, ItemsFile, read_items
from workbench.runs.records import RecordWriter
from workbench.store import ingest

VALUES = {10: 3.0, 20: 2.0, 30: 2.5}
OFFSETS = [-0.5, 0.0, 0.1, 0.4]
MDLM = "training.objective='mdlm'"
UNKNOWN = [None, None], [None, None]


def record(run: RunFolder, metric: str, values: dict[int, float]) -> None:
    writer = RecordWriter(run.records_path)
    for step, value in values.items():
        writer.write(
            step=step, tokens=step * 2048, epoch=step / 10, flops=float(step), metric=metric,
            value=value, estimator="nll",
        )  # fmt: skip
    writer.close()


def test_documents_add_up_to_the_curve(results: Path, make_run: MakeRun) -> None:
    make_run("a", VALUES, items=OFFSETS)
    ingest(results)
    curves = load_curves(results, "made", "val_loss").curves
    found, why = document_curves(results, curves, "val_loss")
    assert why is None
    assert found is not None
    assert found.sums["a"].sum(axis=0) / found.counts.sum() == pytest.approx([3.0, 2.0, 2.5])


def test_bits_a_byte_are_in_the_unit_of_their_curve(results: Path, make_run: MakeRun) -> None:
    """They have no items of their own: those of the loss are scaled."""
    run = make_run("a", VALUES, items=OFFSETS)
    record(run, "val_bpb", {step: 1.4 * value for step, value in VALUES.items()})
    ingest(results)
    curves = load_curves(results, "made", "val_bpb").curves
    found, _ = document_curves(results, curves, "val_bpb")
    assert found is not None
    assert found.sums["a"].sum(axis=0) / found.counts.sum() == pytest.approx([4.2, 2.8, 3.5])


def test_items_that_do_not_give_the_recorded_values_are_not_used(
    results: Path, make_run: MakeRun
) -> None:
    """As after a file was put there from another run: no number comes from it unseen."""
    run = make_run("a", VALUES, items=OFFSETS)
    ingest(results)
    curves = load_curves(results, "made", "val_loss").curves
    rows = read_items(run.items_dir)
    (run.items_dir / TRAINING).unlink()
    file = ItemsFile(run.items_dir)
    for part in rows.with_columns(total=rows["total"] * 1.05).partition_by("step"):
        file.add(part)
    file.write()
    assert document_curves(results, curves, "val_loss") == (None, WITHOUT_ITEMS)


def test_a_point_without_items_leaves_the_whole_curve_without(
    results: Path, make_run: MakeRun
) -> None:
    run = make_run("a", VALUES, items=OFFSETS)
    record(run, "val_loss", {40: 2.7})
    ingest(results)
    curves = load_curves(results, "made", "val_loss").curves
    assert document_curves(results, curves, "val_loss") == (None, WITHOUT_ITEMS)


def loaded_pair(results: Path) -> Pair:
    ingest(results)
    (pair,) = compared_pairs(load_curves(results, "made", "val_loss"))[1]
    return pair


def test_a_lead_is_known_only_where_both_sides_were_measured(
    results: Path, make_run: MakeRun
) -> None:
    make_run("ar", {20: 3.0, 30: 2.0}, items=OFFSETS)
    make_run("mdlm", {10: 4.0, 20: 3.0, 25: 2.0, 40: 1.0}, items=OFFSETS, overrides=[MDLM])
    lead = lead_along(results, loaded_pair(results), "val_loss", "tokens", higher=False)
    assert lead is not None
    assert lead.by_document
    assert (lead.x / 2048).tolist() == [20, 25, 30]
    assert lead.mean.value == pytest.approx([0.0, 0.5, 2 - 5 / 3], abs=1e-6)


@pytest.mark.parametrize(("ar", "expected"), [([10, 20], None), ([10, 30], [30]), ([40], None)])
def test_a_lead_may_be_known_at_a_single_place_or_nowhere(
    results: Path, make_run: MakeRun, ar: list[int], expected: list[int] | None
) -> None:
    make_run("ar", dict.fromkeys(ar, 3.0))
    make_run("mdlm", dict.fromkeys([30, 35], 2.0), overrides=[MDLM])
    lead = lead_along(results, loaded_pair(results), "val_loss", "tokens", higher=False)
    assert (lead and (lead.x / 2048).tolist()) == expected


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("seeds", [(0, 1), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("items", [OFFSETS, None])
def test_a_lead_is_above_zero_where_the_challenger_is_better(
    results: Path,
    make_run: MakeRun,
    items: list[float] | None,
    seeds: tuple[int, ...],
    higher: bool,
) -> None:
    """Of paired seeds and of others, with and without documents: the mean over the sides' seeds."""
    for seed in (0, 1):
        values = {10: 3.0 + seed, 20: 2.0}
        make_run(f"a{seed}", values, items=items, overrides=[f"training.seed={seed}"])
    for seed in seeds:
        values = {10: 1.0 + seed, 20: 2.5}
        make_run(f"d{seed}", values, items=items, overrides=[f"training.seed={seed}", MDLM])
    lead = lead_along(results, loaded_pair(results), "val_loss", "tokens", higher=higher)
    assert lead is not None
    expected = np.array([3.5 - 1.0 - np.mean(seeds), -0.5]) * (-1 if higher else 1)
    assert lead.mean.value == pytest.approx(expected, rel=1e-5)
    assert (lead.by_document, lead.mean.draws.seeds) == (items is not None, 2)
    assert (lead.note is None) is lead.by_document


def test_one_seed_beside_several_shows_nothing_of_how_seeds_vary() -> None:
    course = np.array([[1.0, 2.0], [2.0, 5.0]])
    both = seeds_difference(course, 2 * course, UNKNOWN, paired=False)
    assert (both.draws.seeds, len(both.parts)) == (2, 2)
    for base, other in ((course[:1], course), (course, course[:1])):
        one = seeds_difference(base, other, UNKNOWN, paired=False)
        assert (one.draws.seeds, one.parts) == (1, ())
        assert one.value == pytest.approx(base.mean(axis=0) - other.mean(axis=0))


@pytest.mark.parametrize("again", [1, 8])
def test_a_point_that_was_measured_with_other_draws_is_that_of_most(
    results: Path, make_run: MakeRun, again: int
) -> None:
    run = make_run("a", {}, overrides=[MDLM])
    file = ItemsFile(run.items_dir)
    writer = RecordWriter(run.records_path)
    for step, draws, value in ((10, 4, 3.0), (20, 4, 2.0), (20, again, 1.9)):
        total = 64 * (value + np.array(OFFSETS))
        made = Items(np.arange(4), total, np.full(4, 64.0), np.ones(4))
        file.add(made.frame(step, "val_loss", "nelbo", draws))
        writer.write(
            step=step, tokens=step * 2048, epoch=1.0, flops=1.0, metric="val_loss",
            value=made.value, estimator="nelbo", draws=draws,
        )  # fmt: skip
    file.write()
    writer.close()
    ingest(results)
    curves = load_curves(results, "made", "val_loss").curves
    found, why = document_curves(results, curves, "val_loss")
    assert found is not None, why
    values = found.sums["a"].sum(axis=0) / found.counts.sum()
    assert values == pytest.approx([3.0, 2.0 if again < 4 else 1.9])


@pytest.mark.parametrize("changed", ["document", "count"])
def test_points_of_one_run_that_were_measured_on_other_text_are_no_curve_of_documents(
    results: Path, make_run: MakeRun, changed: str
) -> None:
    run = make_run("a", VALUES, items=OFFSETS)
    rows = read_items(run.items_dir)
    later = pl.col("step") == 30
    if changed == "document":
        rows = rows.with_columns(document=pl.col("document") + later.cast(pl.Int64))
    else:
        factor = 1 + later.cast(pl.Int64)
        rows = rows.with_columns(count=pl.col("count") * factor, total=pl.col("total") * factor)
    (run.items_dir / TRAINING).unlink()
    file = ItemsFile(run.items_dir)
    for part in rows.partition_by("step"):
        file.add(part)
    file.write()
    ingest(results)
    curves = load_curves(results, "made", "val_loss").curves
    assert document_curves(results, curves, "val_loss") == (None, WITHOUT_ITEMS)


@pytest.mark.parametrize("seeds", [(0, 1), (1, 2), (0, 1, 2)])
def test_seeds_are_paired_only_where_each_has_its_partner(
    results: Path, make_run: MakeRun, seeds: tuple[int, ...]
) -> None:
    for seed in (0, 1):
        make_run(f"a{seed}", VALUES, items=OFFSETS, overrides=[f"training.seed={seed}"])
    for seed in seeds:
        make_run(f"d{seed}", VALUES, items=OFFSETS, overrides=[f"training.seed={seed}", MDLM])
    found = paired(loaded_pair(results))
    assert [(one.baseline[0].run_id, one.challenger[0].run_id) for one in found] == (
        [("a0", "d0"), ("a1", "d1")] if seeds == (0, 1) else []
    )


@pytest.mark.parametrize("changed", ["document", "count"])
def test_runs_measured_on_other_text_have_no_documents_in_common(
    results: Path, make_run: MakeRun, changed: str
) -> None:
    """The same labels with other numbers of tokens, or the same numbers of other documents."""
    make_run("a", VALUES, items=OFFSETS)
    run = make_run("b", VALUES, items=OFFSETS, overrides=["training.seed=1"])
    rows = read_items(run.items_dir)
    if changed == "document":
        rows = rows.with_columns(document=rows["document"] + 7)
    else:
        rows = rows.with_columns(count=rows["count"] * 2, total=rows["total"] * 2)
    file = ItemsFile(run.items_dir)
    for part in rows.partition_by("step"):
        file.add(part)
    file.write()
    ingest(results)
    curves = load_curves(results, "made", "val_loss").curves
    assert document_curves(results, curves, "val_loss") == (None, OTHER_WINDOWS)


@pytest.mark.parametrize(("at", "expected"), [("best", 2.0), ("final", 2.5)])
def test_effective_data_are_read_off_the_best_or_the_last_values(
    results: Path, make_run: MakeRun, at: At, expected: float
) -> None:
    for name, unique, values in (
        ("small", 6_400, {10: 3.0, 20: 2.2, 30: 4.0}),
        ("large", 12_800, {10: 3.0, 20: 1.8, 30: 2.2}),
    ):
        make_run(name, values, items=OFFSETS, overrides=[f"data.unique_tokens={unique}"])
    make_run(
        "mdlm", {10: 3.0, 20: 2.0, 30: 2.5}, items=OFFSETS,
        overrides=["data.unique_tokens=6400", MDLM],
    )  # fmt: skip
    ingest(results)
    (row,) = effective_data(results, "made", "val_loss", at)
    assert row["value"] == pytest.approx(expected, rel=1e-5)
    others = {"best": [2.2, 1.8], "final": [4.0, 2.2]}[at]
    assert [value for _, value in row["baseline_values"]] == pytest.approx(others, rel=1e-5)


def test_a_curve_without_steps_has_no_items(results: Path, make_run: MakeRun) -> None:
    make_run("a", VALUES, items=OFFSETS)
    ingest(results)
    curves = load_curves(results, "made", "val_loss").curves
    for steps in (np.empty(0), np.array([10.0, np.nan, 30.0])):
        found = document_curves(results, [replace(curves[0], steps=steps)], "val_loss")
        assert found == (None, WITHOUT_ITEMS)
