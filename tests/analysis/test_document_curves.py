"""Values of runs document by document."""

from pathlib import Path

import pytest

from tests.made_runs import MakeRun
from workbench.analysis.curves import load_curves
from workbench.analysis.document_curves import WITHOUT_ITEMS, document_curves
from workbench.runs.folder import RunFolder
from workbench.runs.items import TRAINING, ItemsFile, read_items
from workbench.runs.records import RecordWriter
from workbench.store import ingest

VALUES = {10: 3.0, 20: 2.0, 30: 2.5}
OFFSETS = [-0.5, 0.0, 0.1, 0.4]


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
