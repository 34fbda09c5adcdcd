"""Run folders of somebody else: what is in them leads nowhere else, hangs nobody, and is named."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.made_runs import MakeRun
from workbench.errors import InputError, WorkbenchError
from workbench.running.control import cancel
from workbench.running.status import status_rows
from workbench.runs.document import is_plain_id
from workbench.runs.evaluations import _append
from workbench.runs.files import plain_file, read_bytes, read_json
from workbench.runs.folder import RunFolder
from workbench.runs.items import read_items
from workbench.runs.records import LONGEST_LINE, RecordWriter
from workbench.runs.studies import studies_of
from workbench.store.run_rows import read_run

FILES = (
    "config.json", "provenance.json", "status.json", "records.jsonl", "evaluations.jsonl",
    "items/training.parquet", "lock", "log.txt", "cancel",
)  # fmt: skip
SPECIAL: dict[str, Callable[[Path, Path], object]] = {
    "a link": lambda path, outside: path.symlink_to(outside),
    "a link to nowhere": lambda path, outside: path.symlink_to(outside / "nowhere"),
    "a link to a device": lambda path, _: path.symlink_to("/dev/zero"),
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
}


def asked(results: Path, run: RunFolder) -> None:
    """Everything that reads or writes a run's folder without torch. Errors are messages."""
    for act in (
        lambda: status_rows(results),
        lambda: cancel(results, "made"),
        lambda: run.plan_again(),
        lambda: RecordWriter(run.records_path).close(),
        lambda: _append(run, [{"step": 1}]),
        lambda: read_items(run.items_dir),
        lambda: run.last_log_lines(),
        lambda: run.last_value("val_loss"),
        lambda: read_run(run, None),
    ):
        said = str(run.path)
        try:
            act()
        except (WorkbenchError, FileNotFoundError) as error:
            said = str(error)
        assert str(run.path) in said


@pytest.mark.parametrize("how", SPECIAL)
def test_no_file_of_a_run_leads_outside_or_hangs(
    how: str, results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    made = make_run("a", {1: 5.0}, state="interrupted", items=[0.1, -0.1])
    kept = tmp_path / "kept"
    shutil.copytree(results, kept)
    for name in FILES:
        shutil.rmtree(results)
        shutil.copytree(kept, results)
        path, outside = made.path / name, tmp_path / "outside"
        shutil.copy(path, outside) if path.exists() else outside.write_text("precious")
        path.unlink(missing_ok=True)
        SPECIAL[how](path, outside)
        before = outside.read_bytes(), outside.stat().st_mtime_ns
        asked(results, made)
        assert (outside.read_bytes(), outside.stat().st_mtime_ns) == before, name


@pytest.mark.parametrize("name", ["", "items"])
def test_no_folder_of_a_run_is_a_link(
    name: str, results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run("a", {1: 5.0}, state="interrupted", items=[0.1, -0.1])
    outside = tmp_path / "outside"
    shutil.move(run.path / name, outside)
    (run.path / name).symlink_to(outside)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    asked(results, run)
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before
    if not name:
        with pytest.raises(InputError, match="a is a link, which is not followed"):
            run.config_json()


def test_the_results_folder_may_be_a_link(results: Path, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", {1: 5.0}, state="interrupted")
    shutil.move(run.path.parent, tmp_path / "elsewhere")
    run.path.parent.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "linked").symlink_to(results)
    assert cancel(tmp_path / "linked", "made") == ["a: cancelled."]
    assert RunFolder(results / "runs" / "a").status().state == "cancelled"


def test_files_are_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with open(path, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match=r"large\.json: cannot be read \(is larger than 64 MiB\)"):
        read_json(path)
    with pytest.raises(OSError, match="is larger"):
        read_bytes(path, limit=10)
    with pytest.raises(WorkbenchError, match="its last line has no end"):
        RecordWriter(path)
    assert path.stat().st_size == 2**40
    path.write_bytes(b"x" * (LONGEST_LINE - 1))
    RecordWriter(path).close()  # a torn line, however long, is cut off
    assert path.stat().st_size == 0


def test_a_file_is_opened_only_if_it_is_one(tmp_path: Path) -> None:
    with open(tmp_path / "new", "w", opener=plain_file) as file:
        file.write("x")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o666 & ~_umask()
    for name, message in (("null", "is no file"), ("", "is a folder")):
        with pytest.raises(OSError, match=message):
            plain_file(f"/dev/{name}" if name else str(tmp_path), os.O_RDONLY)


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask


def put(path: Path, key: str, value: Any) -> None:
    document = json.loads(path.read_text())
    part = document
    *tables, last = key.split(".")
    for table in tables:
        part = part[table]
    part[last] = value
    path.write_text(json.dumps(document))


WRONG = [
    ("config", [{}]), ("config", None), ("config.training", []), ("config.data", "x"),
    ("data", []), ("data.folder", "../../elsewhere"), ("data.folder", "/etc"),
    ("data.folder", {}), ("data.validation_extra", [1]), ("derived", 3), ("derived.steps", "12"),
    ("derived.steps", True), ("derived.n_params", 2**63), ("derived.train_flops", float("nan")),
    ("derived.epochs", float("inf")), ("run_id", "../a"), ("parent", "../../b"), ("parent", {}),
    ("protocol", "2"), ("protocol", 10**400),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_configuration_of_another_kind_is_named(key: str, value: Any, make_run: MakeRun) -> None:
    run = make_run("a", {1: 5.0}, state="failed")
    put(run.config_path, key, value)
    with pytest.raises(InputError) as refused:
        run.config_json()
    assert str(run.config_path) in str(refused.value)


def test_a_key_that_is_missing_is_named_by_whoever_asks_for_it(make_run: MakeRun) -> None:
    run = make_run("a", {1: 5.0})
    document = run.config_json()
    with pytest.raises(InputError, match=r"config\.json: derived\.vocab_size is missing"):
        document["derived"]["vocab_size"]
    assert document == json.loads(run.config_path.read_text())
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trained_on", {}), ("trained_on", [1]), ("trained_on", [{"device": 1, "dtype": "x"}]),
        ("started_as", []), ("started_as", {"device": "cpu"}), ("plugins", [3]),
        ("started_as", {"device": "cpu", "dtype": "float32", "compile": False, "run": "x"}),
    ],
)  # fmt: skip
def test_a_provenance_of_another_kind_is_named(key: str, value: Any, make_run: MakeRun) -> None:
    run = make_run("a", {1: 5.0})
    put(run.provenance_path, key, value)
    with pytest.raises(InputError, match=r"provenance\.json: " + key):
        run.provenance_json()


@pytest.mark.parametrize("key", ["attempts", "step", "tokens"])
def test_a_status_of_absurd_numbers_is_named(key: str, make_run: MakeRun) -> None:
    run = make_run("a", {1: 5.0})
    for value in (-1, 2**63, 10**400, True, "3"):
        put(run.status_path, key, value)
        with pytest.raises(InputError, match=r"status\.json"):
            run.status()


ASTRAY = (
    "../../x",
    "..",
    ".",
    "",
    "/etc",
    "a/b",
    ".hidden",
    "a\n",
    "-rf",
    "x" * 101,
    "a\x1b[2J",
    3,
)


@pytest.mark.parametrize("run_id", ASTRAY)
def test_a_study_lists_plain_ids_only(
    run_id: object, results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run("a", {1: 5.0}, state="failed")
    for place in (tmp_path / "x", results / "x"):
        shutil.copytree(run.path, place)
    before = (tmp_path / "x" / "status.json").read_bytes()
    put(results / "studies" / "made.json", "run_ids", ["a", run_id])
    for act in (studies_of, status_rows, lambda results: cancel(results, "made")):
        with pytest.raises(InputError, match=r"made\.json: not a study"):
            act(results)
    assert (tmp_path / "x" / "status.json").read_bytes() == before
    assert not (tmp_path / "x" / "cancel").exists()


def test_ids_as_they_are_made_are_plain() -> None:
    assert all(map(is_plain_id, ("0123456789ab", "a", "run-1", "run_1.b")))
    assert not any(map(is_plain_id, ASTRAY))
