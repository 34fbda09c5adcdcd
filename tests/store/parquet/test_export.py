"""Export: the dataset equals the store, only what changed is written, no end of an export harms."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import polars as pl
import pytest

from tests.made_runs import MakeRun
from tests.store.parquet.conftest import files
from workbench.errors import InputError, WorkbenchError
from workbench.store import ingest, query
from workbench.store.parquet import export
from workbench.store.parquet.export import export_parquet
from workbench.store.parquet.filesystem import Place
from workbench.store.parquet.layout import MARKER, METRICS, bucket_of, part_path
from workbench.store.parquet.mirror import mirrored

TABLES = ("studies", "study_runs", "runs", "metrics", "fits", "crossovers")
VIEWS = ("curves", "final", "best")


def everything(results: Path) -> dict[str, list[tuple[object, ...]]]:
    return {name: query(results, f"FROM {name} ORDER BY ALL").rows() for name in TABLES + VIEWS}


def test_a_dataset_answers_as_its_store(store: Path, tmp_path: Path) -> None:
    report = export_parquet(store, str(tmp_path / "out"))
    assert report.runs == 4
    assert everything(tmp_path / "out") == everything(store)
    for name in TABLES:
        there, here = query(tmp_path / "out", f"DESCRIBE {name}"), query(store, f"DESCRIBE {name}")
        assert there.select("column_name", "column_type").equals(
            here.select("column_name", "column_type")
        )


def test_a_second_export_writes_nothing(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = export_parquet(store, str(out))
    before, marker = files(out), (out / MARKER).stat().st_mtime_ns
    again = export_parquet(store, str(out))
    assert (again.written, again.removed, again.unchanged) == (0, 0, first.written)
    assert files(out) == before
    assert (out / MARKER).stat().st_mtime_ns == marker, "readers would take it for news"


def test_only_what_changed_is_written(store: Path, tmp_path: Path, make_run: MakeRun) -> None:
    out = tmp_path / "out"
    export_parquet(store, str(out))
    before = files(out)
    run = make_run("b", {4: 2.0}, overrides=["training.objective='mdlm'", "training.seed=1"])
    run.sealed_path.unlink()
    ingest(store)
    export_parquet(store, str(out))
    after = files(out)
    changed = {path for path in after if after[path] != before[path]}
    assert part_path(METRICS, "mdlm", bucket_of("b")) in changed
    assert changed <= {part_path(METRICS, "mdlm", bucket_of("b")), "runs/part-0.parquet"}
    assert everything(out) == everything(store)


def test_a_run_that_vanished_from_the_store_leaves_the_dataset(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_parquet(store, str(out))
    shutil.rmtree(store / "runs" / "c")
    ingest(store, rebuild=True)
    report = export_parquet(store, str(out))
    assert report.removed == 1
    assert not (out / part_path(METRICS, "ar", bucket_of("c"))).parent.exists()
    assert everything(out) == everything(store)


def test_a_rebuilt_store_of_the_same_runs_is_nothing_new(store: Path, tmp_path: Path) -> None:
    export_parquet(store, str(tmp_path / "out"))
    ingest(store, rebuild=True)
    assert export_parquet(store, str(tmp_path / "out")).written == 0


def test_damaged_and_missing_files_are_written_again(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_parquet(store, str(out))
    damaged, missing = sorted(out.glob("metrics/*/*/part-0.parquet"))[:2]
    damaged.write_bytes(damaged.read_bytes()[:100])
    missing.unlink()
    with pytest.raises(InputError, match=r"part-0.parquet is missing.*Export the store again"):
        query(out, "SELECT 1")
    missing.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"part-0.parquet.*Export the store again"):
        query(out, "SELECT sum(value) FROM metrics")
    assert export_parquet(store, str(out)).written == 2
    assert everything(out) == everything(store)


KILLED = """
import os, signal, sys
from pathlib import Path
from workbench.store.parquet import export, filesystem
left = int(sys.argv[3])
replace = filesystem.replace_durably
def dying(temporary, path):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(temporary, path)
filesystem.replace_durably = dying
export.export_parquet(Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True])
def test_an_export_killed_anywhere_leaves_a_dataset_to_read_and_to_mend(
    again: bool, store: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    known = {row[:2] + row[5:7] for row in everything(store)["metrics"]}
    first = tmp_path / "first"
    export_parquet(store, str(first))
    if again:  # every file of the second export differs
        for name in "abcd":
            objective = "mdlm" if name in "bd" else "ar"
            seed = "abcd".index(name)
            overrides = [f"training.objective='{objective}'", f"training.seed={seed}"]
            make_run(name, {4: 1.0}, overrides=overrides).sealed_path.unlink()
        ingest(store)
        known |= {row[:2] + row[5:7] for row in everything(store)["metrics"]}
    for after in range(2 if again else 1, 12, 2):
        out = tmp_path / f"out{after}"
        if again:
            shutil.copytree(first, out)
        command = [sys.executable, "-c", KILLED, str(store), str(out), str(after)]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        rows = query(out, "FROM metrics").rows()
        assert {row[:2] + row[5:7] for row in rows} <= known
        assert len(rows) == len(set(rows)), "a number is there twice"
        seen = query(out, "SELECT run_id FROM runs ANTI JOIN metrics USING (run_id)")
        assert seen.is_empty(), "a run is listed without its numbers"
        if list(out.glob("metrics/*/*/*.parquet")):  # as another engine sees it
            assert pl.scan_parquet(out / "metrics/**/*.parquet").collect().height == len(rows)
        export_parquet(store, str(out))
        assert everything(out) == everything(store)
        assert not list(out.rglob(".*")), "partial files of the killed export are gone"
    assert after > 5, "nothing was killed"


@pytest.mark.parametrize("left", [".unfinished-01234567._workbench.json", "._workbench.json.123"])
def test_an_export_killed_at_its_first_rename_is_done_by_the_next(
    left: str, store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "_lock").touch()
    (out / left).write_bytes(b"{")
    export_parquet(store, str(out))
    assert everything(out) == everything(store)
    assert not list(out.rglob(".*"))


@pytest.mark.slow
def test_two_exports_at_once_end_with_the_store(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import sys; from pathlib import Path;"
        "from workbench.store.parquet.export import export_parquet;"
        "export_parquet(Path(sys.argv[1]), sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(store), str(out)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.wait(timeout=120) == 0, process.stderr and process.stderr.read()
    assert everything(out) == everything(store)
    assert export_parquet(store, str(out)).written == 0


def test_an_export_waits_for_another_and_not_for_ever(store: Path, tmp_path: Path) -> None:
    place = Place(str(tmp_path / "out"))
    with place.exclusive(1.0), pytest.raises(WorkbenchError, match="another export"):
        export_parquet(store, str(tmp_path / "out"), timeout=0.3)


SWAPPING = """
import io, os, sys
from pathlib import Path
import polars as pl
full = [(path, path.read_bytes()) for path in Path(sys.argv[1]).rglob("metrics/**/part-0.parquet")]
short = []
for path, _ in full:
    buffer = io.BytesIO()
    pl.read_parquet(path).head(2).write_parquet(buffer, row_group_size=1)
    short.append((path, buffer.getvalue()))
print("ready", flush=True)
while True:
    for path, content in short + full:
        path.with_name("beside").write_bytes(content)
        os.replace(path.with_name("beside"), path)
"""


@pytest.mark.slow
def test_files_that_are_replaced_while_they_are_read_make_no_error(
    store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_parquet(store, str(out))
    writer = subprocess.Popen([sys.executable, "-c", SWAPPING, str(out)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        until, counts = time.monotonic() + 5, set()
        while time.monotonic() < until:
            counts.add(query(out, "SELECT count(value) FROM curves WHERE step > 0").item())
        assert len(counts) > 1, "the writer wrote nothing"
        assert all(8 <= count <= 20 for count in counts)
    finally:
        writer.kill()
        writer.wait()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_url_holds_the_same_dataset_and_is_mirrored(
    scheme: str,
    store: Path,
    tmp_path: Path,
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"{scheme}://{tmp_path}/bucket/team"
    export_parquet(store, url)
    mirror = mirrored(url)
    assert everything(mirror) == everything(store)
    before = files(mirror)
    assert files(mirrored(url)) == before, "nothing new is fetched"
    shutil.rmtree(store / "runs" / "c")
    ingest(store, rebuild=True)
    assert export_parquet(store, url).removed == 1
    assert everything(mirrored(url)) == everything(store)
    unchanged = files(mirror)
    path = part_path(METRICS, "mdlm", bucket_of("b"))
    assert unchanged[path] == before[path], "what stayed as it was is not fetched again"
    assert part_path(METRICS, "ar", bucket_of("c")) not in unchanged


@pytest.mark.slow
def test_a_mirror_that_was_damaged_is_made_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"memory://{tmp_path}/again"
    export_parquet(store, url)
    mirror = mirrored(url)
    (mirror / "runs" / "part-0.parquet").unlink()
    (mirror / "_mirror.json").write_text("{")
    assert everything(mirrored(url)) == everything(store)
    with pytest.raises(InputError, match="no dataset there"):
        mirrored(f"memory://{tmp_path}/nothing")


def test_what_is_no_dataset_of_this_store_is_left_alone(
    store: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="no dataset of a workbench"):
        export_parquet(store, str(strange))
    assert [path.name for path in strange.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="no dataset of a workbench"):
        export_parquet(store, str(store))

    out = tmp_path / "out"
    export_parquet(store, str(out))
    before = files(out)
    shutil.rmtree(store / "runs")
    make_run("z", {1: 1.0})
    ingest(store, rebuild=True)
    with pytest.raises(InputError, match="another store"):
        export_parquet(store, str(out))
    (out / MARKER).write_text(json.dumps({"format": 99, "schema": 1}))
    with pytest.raises(InputError, match="newer workbench"):
        export_parquet(store, str(out))
    with pytest.raises(InputError, match="newer workbench"):
        query(out, "SELECT 1")
    assert files(out) == before


def test_a_foreign_file_is_reported_and_not_removed(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_parquet(store, str(out))
    foreign = out / "metrics" / "mine.parquet"
    pl.DataFrame({"x": [1]}).write_parquet(foreign)
    report = export_parquet(store, str(out))
    assert report.foreign == ["metrics/mine.parquet"]
    assert foreign.exists()
    assert everything(out) == everything(store)


def test_rows_are_read_in_pieces_that_fit_into_memory(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_ROWS_AT_ONCE", 6)
    export_parquet(store, str(tmp_path / "out"))
    assert everything(tmp_path / "out") == everything(store)


def test_an_unwritable_place_is_named(store: Path) -> None:
    with pytest.raises(WorkbenchError, match="/proc/here"):
        export_parquet(store, "/proc/here")


def test_a_protocol_without_its_package_names_the_package() -> None:
    if "s3" in fsspec.available_protocols() and _has("s3fs"):
        pytest.skip("s3fs is installed")
    with pytest.raises(InputError, match="pip install s3fs"):
        Place("s3://bucket/team")
    with pytest.raises(InputError, match="cannot be reached"):
        Place("nonsense://bucket")


def _has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def test_numbers_without_an_objective_have_a_partition_too() -> None:
    assert part_path(METRICS, None, 3).startswith("metrics/objective=__HIVE_DEFAULT_PARTITION__/")
    assert part_path(METRICS, "a/b=c", 3) == "metrics/objective=a%2Fb%3Dc/bucket=3/part-0.parquet"
    assert os.sep not in part_path(METRICS, "a/b", 1).split("objective=")[1].split("/bucket")[0]
