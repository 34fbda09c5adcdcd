"""Ingest: idempotent, whole runs or nothing, and never a loss."""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.made_runs import MakeRun
from workbench.errors import InputError, WorkbenchError
from workbench.runs.files import read_json, write_json
from workbench.runs.forecasts import digest_of
from workbench.runs.records import RecordWriter
from workbench.store import database_path, ingest, query


def rows(results: Path) -> list[tuple[object, ...]]:
    frame = query(results, "SELECT run_id, step, metric, value FROM metrics ORDER BY ALL")
    return frame.rows()


def test_ingesting_twice_is_ingesting_once(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 5.0, 2: 4.0})
    make_run("b", {1: 6.0}, state="running")
    first = ingest(results)
    assert (first.runs, first.records, first.problems) == (2, 3, [])
    before = rows(results)
    again = ingest(results)
    assert (again.runs, again.records) == (0, 0), "unchanged files are not read"
    assert rows(results) == before


def test_a_live_run_grows_and_repeats_nothing(results: Path, make_run: MakeRun) -> None:
    run = make_run("a", {1: 5.0, 2: 4.0}, state="running")
    ingest(results)
    with open(run.records_path, "a") as file:
        file.write('{"step": 3, "torn')
    ingest(results)
    assert len(rows(results)) == 2
    make_run("a", {2: 4.0, 3: 3.0}, state="running")  # it resumed, and wrote step 2 again
    ingest(results)
    assert [row[1] for row in rows(results)] == [1, 2, 3]


def test_a_finished_run_is_sealed_and_read_from_its_seal(results: Path, make_run: MakeRun) -> None:
    run = make_run("a", {1: 5.0, 2: 4.0})
    ingest(results)
    assert run.sealed_path.exists()
    run.records_path.unlink()
    os.remove(database_path(results))
    ingest(results)
    assert len(rows(results)) == 2


def test_a_damaged_seal_is_reported_and_the_records_read(results: Path, make_run: MakeRun) -> None:
    run = make_run("a", {1: 5.0, 2: 4.0})
    ingest(results)
    run.sealed_path.write_bytes(b"PAR1 broken")
    report = ingest(results)
    assert "records.parquet" in report.problems[0]
    assert len(rows(results)) == 2


def test_a_rebuild_restores_everything_of_a_lost_store(results: Path, make_run: MakeRun) -> None:
    for name in "abc":
        make_run(name, {1: 5.0, 2: 4.0})
    ingest(results)
    everything = {
        table: query(results, f"SELECT * FROM {table} ORDER BY ALL").rows()
        for table in ("studies", "study_runs", "runs", "metrics")
    }
    os.remove(database_path(results))
    ingest(results, rebuild=True)
    for table, before in everything.items():
        assert query(results, f"SELECT * FROM {table} ORDER BY ALL").rows() == before


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (7, 7), (7.0, 7), (None, None), (2**63 - 1, 2**63 - 1), (1 - 2**63, 1 - 2**63),
        *((wrong, "refused") for wrong in (2**63, -(2**63) - 1, 7.5, True, "7", [7])),
    ],
)  # fmt: skip
def test_a_value_that_its_column_cannot_take_leaves_out_its_run_alone(
    results: Path, make_run: MakeRun, value: object, stored: object
) -> None:
    path = make_run("a", {1: 5.0}).config_path
    make_run("b", {1: 5.0})
    document = read_json(path)
    document["derived"]["n_params"] = value
    write_json(path, document)
    problems = ingest(results).problems
    found = query(results, "SELECT n_params FROM runs WHERE run_id = 'a'").rows()
    if stored == "refused":
        assert found == []
        assert str(path) in problems[0]
        assert f"n_params is {value}" in problems[0].replace("'", "")
    else:
        assert (found, problems) == ([(stored,)], [])
    assert query(results, "SELECT count(*) FROM runs WHERE run_id = 'b'").item() == 1


def test_a_corrupt_line_is_reported_and_costs_only_itself(results: Path, make_run: MakeRun) -> None:
    run = make_run("a", {1: 5.0}, state="running")
    with open(run.records_path, "a") as file:
        file.write("not a record\n")
    RecordWriter(run.records_path).close()
    make_run("a", {2: 4.0}, state="running")
    report = ingest(results)
    assert report.records == 2
    assert len(report.problems) == 1
    assert "line 2" in report.problems[0]


def test_no_document_of_anybody_keeps_another_run_out(results: Path, make_run: MakeRun) -> None:
    """Numbers that no column takes, NaN, half a surrogate pair, tables of other columns."""
    huge = "1" + "0" * 400
    for number, (old, new) in enumerate(
        [
            ('"lr": ', '"lr": NaN, "x": '), ('"n_params": ', f'"n_params": {huge}, "x": '),
            ('"corpus": "', '"corpus": "\\ud800'), ('"data": {', '"data": [], "x": {'),
            ('"steps": ', '"steps": 1e999, "x": '), ('"epochs": ', '"epochs": Infinity, "x": '),
        ]
    ):  # fmt: skip
        path = make_run(f"r{number}", {1: 5.0}).config_path
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    for number, frame in enumerate(
        [
            pl.DataFrame({"step": ["x"], "metric": ["val_loss"]}),
            pl.DataFrame({"step": [{"a": 1}], "metric": [1.5]}),
            pl.DataFrame({"step": [1, -1, None], "metric": ["val_loss", "val_loss", None],
                          "value": [float("nan"), 1.0, 2.0]}),
        ]
    ):  # fmt: skip
        run = make_run(f"p{number}", {1: 5.0})
        run.sealed_path.touch()
        frame.write_parquet(run.sealed_path)
    study = results / "studies" / "made.json"
    study.write_text(study.read_text().replace('"question": "?"', f'"question": {huge}'))
    document = {"runs": [{"expected": 10**400}, 3], "crossovers": [], "made_at": 1.0, "made": [1]}
    forecast = results / "forecasts" / "made" / "f.json"
    forecast.parent.mkdir(parents=True)
    forecast.write_text(json.dumps({**document, "digest": digest_of(document)}))
    make_run("good", {1: 5.0}, study="another")
    report = ingest(results)
    values = dict(query(results, "SELECT run_id, value FROM metrics WHERE step = 1").rows())
    assert values["good"] == 5.0
    assert values["p2"] is None
    assert query(results, "FROM runs WHERE NOT isfinite(lr) OR NOT isfinite(epochs)").is_empty()
    assert (
        query(results, "SELECT count(*) FROM metrics WHERE step < 0 OR metric IS NULL").item() == 0
    )
    assert all(len(problem) < 1000 for problem in report.problems)
    assert ingest(results).records == 0


def test_one_broken_run_does_not_keep_out_the_others(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 5.0}).config_path.write_text("{broken")
    make_run("b", {1: 5.0})
    report = ingest(results)
    assert len(report.problems) == 1
    assert "config.json" in report.problems[0]
    assert [row[0] for row in rows(results)] == ["b"]


def test_a_store_of_a_newer_schema_is_left_alone(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 5.0})
    ingest(results)
    with duckdb.connect(str(database_path(results))) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    before = database_path(results).read_bytes()
    for attempt in (lambda: ingest(results), lambda: query(results, "SELECT 1")):
        with pytest.raises(InputError, match="newer workbench"):
            attempt()
    assert database_path(results).read_bytes() == before


def test_a_file_that_is_no_database_is_named(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 5.0})
    database_path(results).write_text("something else entirely, and long enough to be looked at")
    with pytest.raises(InputError, match=r"workbench\.duckdb"):
        ingest(results)


HOLD = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
time.sleep(float(sys.argv[2]))
"""


def hold(results: Path, seconds: float) -> "subprocess.Popen[str]":
    """Another process that has the store open for writing."""
    command = [sys.executable, "-c", HOLD, str(database_path(results)), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_readers_and_writers_wait_for_another_process(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 5.0})
    ingest(results)
    with hold(results, 1.0):
        assert query(results, "SELECT count(*) FROM metrics").item() == 1
    make_run("b", {1: 5.0})
    with hold(results, 1.0):
        assert ingest(results).runs == 1


def test_waiting_has_an_end(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 5.0})
    ingest(results)
    with hold(results, 30.0) as holder:
        with pytest.raises(WorkbenchError, match=r"another program after 0 s, by process \d+"):
            query(results, "SELECT 1", timeout=0.3)
        holder.kill()


ASK_FOR_EVER = """
import sys; from pathlib import Path
from workbench.store import query
while True:
    query(Path(sys.argv[1]), "SELECT count(*) FROM range(300000) a, range(30) b, metrics")
    print("asked", flush=True)
"""


@pytest.mark.slow
def test_those_who_ask_all_the_time_keep_no_writer_out(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 5.0})
    ingest(results)
    command = [sys.executable, "-c", ASK_FOR_EVER, str(results)]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        for reader in asking:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "asked\n"
        for number in range(5):
            make_run(f"b{number}", {1: 5.0})
            assert ingest(results, timeout=10.0).runs == 1
    finally:
        for reader in asking:
            assert reader.poll() is None, "a reader met an error"
            reader.kill()
            reader.wait()


def test_damage_to_one_run_is_named_and_keeps_no_other_out(
    results: Path, make_run: MakeRun
) -> None:
    damaged = {
        "config.json": '{"schema": 1, "run_id": "another"}',
        "provenance.json": "{cut",
        "status.json": '{"state": "finished", "step": "x"}',
        "records.jsonl": None,
    }
    for name in damaged:
        make_run(name.partition(".")[0], {1: 5.0})
    make_run("nested", {1: 5.0}).status_path.write_text("[" * 100_000)
    make_run("sound", {1: 5.0})
    for name, content in damaged.items():
        path = results / "runs" / name.partition(".")[0] / name
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
    (make_run("headless", {1: 5.0}).config_path).unlink()
    report = ingest(results)
    problems = "\n".join(report.problems)
    for run, name in [*((n.partition(".")[0], n) for n in damaged), ("nested", "status.json"),
                      ("headless", "config.json")]:  # fmt: skip
        assert f"{run}/{name}" in problems, problems
    # A run is good without its provenance.
    assert {row[0] for row in rows(results)} == {"provenance", "sound"}
    assert query(results, "SELECT provenance FROM runs WHERE run_id = 'provenance'").item() is None


def test_a_store_of_before_gets_the_views_of_now(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 2.0, 2: 3.0})
    ingest(results)
    with duckdb.connect(str(database_path(results))) as store:
        store.execute("CREATE OR REPLACE VIEW best AS SELECT 1 AS old")
        store.execute("COMMENT ON VIEW best IS 'as it was'")
    ingest(results)
    assert query(results, "SELECT count(*) AS n FROM best WHERE metric = 'val_loss'").item() == 1
