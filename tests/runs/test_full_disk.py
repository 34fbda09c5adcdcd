"""A disk that fills up: who writes says which file, and what was there before stays whole.

benchmarks/full_disk.py takes a real small disk through every stage.
"""

import json
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
import pytest

from tests.disks import FULL, files_end_at, refused_at
from tests.made_runs import MakeRun
from workbench import figures
from workbench.data.preparation import _save, prepare
from workbench.recipe import DataConfig
from workbench.runs.evaluations import Evaluated, record_evaluations
from workbench.runs.files import replacing
from workbench.runs.records import RecordWriter
from workbench.store import ingest, keep_crossovers, query
from workbench.store.read_records import read_records

COUNT = "SELECT count(*) AS n FROM metrics"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("earlier")
    with pytest.raises(OSError, match=FULL), files_end_at(100), replacing(path) as temporary:
        temporary.write_text("x" * 1000)
    assert (path.read_text(), files(tmp_path)) == ("earlier", ["a.txt"])
    with replacing(path) as temporary:
        temporary.write_text("later")
    assert (path.read_text(), files(tmp_path)) == ("later", ["a.txt"])


def test_prepared_data_that_has_no_room_says_so_and_leaves_no_part(
    tmp_path: Path, corpus: Path
) -> None:
    asked = {"corpus": str(corpus), "document": "blank-line", "unique_tokens": 2_048}
    data = DataConfig(**asked, seq_len=32, validation_tokens=2_048)
    for size in (0, 200, 1_000, 10_000):
        with refused_at(size, "space|written"):
            prepare(data, tmp_path)
        assert files(tmp_path / "data") == ["requests"]
    assert prepare(data, tmp_path).folder.exists()


def test_an_array_that_has_no_room_says_why(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=FULL), files_end_at(1_000):
        _save(tmp_path / "a.npy", np.arange(1_000))


def test_records_that_have_no_room_name_their_file(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    writer = RecordWriter(path)
    for step in range(1, 3):
        writer.write(step=step, tokens=1, epoch=1.0, flops=1.0, metric="lr", value=1.0)
    with refused_at(150, r"records\.jsonl: cannot be written"):
        writer.flush(fsync=True)
    with refused_at(150, r"records\.jsonl: cannot be written"):
        writer.close()
    RecordWriter(path).close()  # the next writer cuts off what is torn
    assert read_records(path).frame["step"].to_list() == [1]


def test_an_ingest_without_room_leaves_no_part_of_a_store_or_of_a_sealed_file(
    make_run: MakeRun, results: Path
) -> None:
    run = make_run("a", {step: 1 / step for step in range(1, 400)})
    run.sealed_path.unlink(missing_ok=True)
    names = files(run.path)
    before = files(results)
    for size in (0, 1_000, 5_000, 9_000):  # a store's first three pages
        with refused_at(size):
            ingest(results)
        assert files(results) == before
    assert set(files(run.path)) - {"records.parquet"} == set(names)
    assert ingest(results).problems == []
    assert query(results, COUNT).item() == 399
    assert files(run.path) == sorted([*names, "records.parquet"])


def test_a_rebuild_without_room_leaves_the_store_and_nothing_beside_it(
    make_run: MakeRun, results: Path
) -> None:
    make_run("a", {step: 1 / step for step in range(1, 400)})
    ingest(results)
    before = files(results)
    for size in (0, 5_000, 20_000, 200_000):
        with refused_at(size):
            ingest(results, rebuild=True)
        assert files(results) == before
        assert query(results, COUNT).item() == 399


def test_answers_that_the_store_has_no_room_for_are_refused_and_not_stored(
    make_run: MakeRun, results: Path
) -> None:
    make_run("a", {1: 1.0})
    ingest(results)
    row = {
        "study": "made", "metric": "val_loss", "axis": "tokens", "definition": "point",
        "status": "crossed", "group": {"unique_tokens": 1, "n_params": 1}, "crossover": 1.0,
        "last_x": 1.0,
    }  # fmt: skip
    with refused_at(100, r"workbench\.duckdb: cannot be written"):
        keep_crossovers(results, [row])
    assert query(results, "SELECT count(*) FROM crossovers").item() == 0
    keep_crossovers(results, [row])
    assert query(results, "SELECT count(*) FROM crossovers").item() == 1


@pytest.mark.parametrize("suffix", [".svg", ".png", ".html", ".csv"])
def test_a_figure_that_has_no_room_leaves_the_one_before(suffix: str, tmp_path: Path) -> None:
    table = pl.DataFrame({"x": range(9_000), "y": range(9_000)})
    figure = figures.Figure(alt.Chart(table[:9]).mark_point().encode(x="x", y="y"), table, "a")
    path = tmp_path / f"f{suffix}"
    path.write_text("earlier")
    drawn = tmp_path / "f.svg" if suffix == ".csv" else path
    room = 20_000 if suffix == ".csv" else 100
    with refused_at(room, "cannot be written"):
        figures.save(figure, drawn, save_data=True)
    assert path.read_text() == "earlier"
    assert not list(tmp_path.glob(".*"))


def evaluated(value: float) -> Evaluated:
    return Evaluated("cloze_acc", value, 0.1, 10, "nll", "cloze", None, 0, {})


def test_an_evaluation_that_has_no_room_leaves_no_part_of_a_line(make_run: MakeRun) -> None:
    run = make_run("a", {1: 1.0})
    document = json.loads(run.config_path.read_text())
    document["derived"]["tokens_per_step"] = 2048
    run.config_path.write_text(json.dumps(document))
    record_evaluations(run, 1, [evaluated(0.25)])
    before = run.evaluations_path.read_bytes()
    with refused_at(len(before) + 50, r"evaluations\.jsonl: cannot be written"):
        record_evaluations(run, 1, [evaluated(0.5)])
    assert run.evaluations_path.read_bytes() == before
    record_evaluations(run, 1, [evaluated(0.5)])
    reading = read_records(run.evaluations_path)
    assert (reading.frame["value"].to_list(), reading.problems) == ([0.25, 0.5], [])
