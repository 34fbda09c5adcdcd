"""Records: appended, never lost, read around damage."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.runs.records import FIELDS, RecordWriter
from workbench.store.read_records import deduplicated, read_records


def write(path: Path, *steps: int, **fields: Any) -> None:
    writer = RecordWriter(path)
    for step in steps:
        record = {"metric": "val_loss", "value": step / 7, "estimator": "nll", **fields}
        writer.write(step=step, tokens=step * 10, epoch=step / 2, flops=1e9, **record)
    writer.flush(fsync=True)
    writer.close()


def test_what_is_written_is_read_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write(path, 1, 2, 3, stderr=0.1, n=5)
    reading = read_records(path)
    assert reading.problems == []
    assert reading.offset == path.stat().st_size
    assert reading.frame["value"].to_list() == [1 / 7, 2 / 7, 3 / 7]
    assert reading.frame.columns == list(FIELDS)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_number_that_is_none_is_null_and_never_zero(value: float | None, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write(path, 1, value=value)
    assert json.loads(path.read_text())["value"] is None
    assert read_records(path).frame["value"].to_list() == [None]


@given(st.integers(1, 200))
def test_a_torn_last_line_is_cut_off_and_nothing_before_it(cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records.jsonl")
        write(path, 1, 2, 3)
        whole = path.read_bytes()
        path.write_bytes(whole[: max(0, len(whole) - cut)])
        before = read_records(path)
        assert before.problems == []
        write(path, 9)
        after = read_records(path)
        assert after.problems == []
        assert after.frame["step"].to_list() == [*before.frame["step"].to_list(), 9]


def test_reading_goes_on_from_an_offset_and_leaves_an_unfinished_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write(path, 1, 2)
    first = read_records(path)
    write(path, 3)
    with open(path, "a") as file:
        file.write('{"step": 4, "met')
    second = read_records(path, first.offset)
    assert second.frame["step"].to_list() == [3]
    assert second.problems == []


@pytest.mark.parametrize(
    "damage",
    [b"garbage\n", b'{"step": 1}\n', b"[1, 2]\n", b'{"step": "x", "metric": "y"}\n', b"\0\0\n"],
)
def test_a_damaged_line_is_named_and_the_good_ones_are_read(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write(path, 1, 2)
    path.write_bytes(path.read_bytes() + damage)
    write(path, 3)
    reading = read_records(path)
    assert reading.frame["step"].to_list() == [1, 2, 3]
    assert len(reading.problems) == 1
    assert f"{path}, line 3" in reading.problems[0]


LINE = '{"step":5,"tokens":1,"metric":"val_loss","value":2.0,"estimator":"nll","n":null}'
NOT_RECORDS = {
    **{
        f"{key} {value[:9]}": LINE.replace(f'"{key}":{was}', f'"{key}":{value}')
        for key, was in (("step", "5"), ("tokens", "1"), ("n", "null"))
        for value in ("1" + "0" * 400, "1" + "0" * 5000, "9223372036854775808", "1e300", "1.5",
                      "true", '"5"', "[5]", "NaN", "1e999")
    },
    "a negative step": LINE.replace(":5,", ":-5,"),
    "a text as value": LINE.replace("2.0", '"2.0"'),
    "a truth as value": LINE.replace("2.0", "true"),
    "a metric of a megabyte": LINE.replace("val_loss", "x" * 2**20),
    "a line of two megabytes": LINE.replace("}", ',"x":"' + "x" * 2**21 + '"}'),
    "depth": LINE.replace("}", ',"x":' + "[" * 100_000 + "]" * 100_000 + "}"),
    "half a pair": LINE.replace("nll", "\\ud800").replace("2.0", "NaN"),
    "not UTF-8": LINE.replace("nll", "\udcff"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOT_RECORDS)
def test_a_line_that_no_record_has_is_named_and_left_out(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.store.read_records._BLOCK", 2**20)
    path = tmp_path / "records.jsonl"
    write(path, 1, 2)
    path.write_bytes(path.read_bytes() + NOT_RECORDS[kind].encode(errors="surrogateescape") + b"\n")
    write(path, 3)
    reading = read_records(path)
    assert reading.frame["step"].to_list() == [1, 2, 3]
    assert len(reading.problems) == 1
    assert f"{path}, line 3: not a record" in reading.problems[0]
    assert len(reading.problems[0]) < 500
    assert reading.offset == path.stat().st_size


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_a_number_that_is_not_finite_is_null_and_its_line_a_record(
    value: str, tmp_path: Path
) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(LINE.replace("2.0", value) + "\n" + LINE + "\n")
    reading = read_records(path)
    assert reading.problems == []
    assert reading.frame["value"].to_list() == [None, 2.0]


def test_lines_are_read_alike_whatever_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "records.jsonl"
    write(path, *range(1, 30))
    path.write_bytes(path.read_bytes() + b"no\n" + path.read_bytes()[:-50])
    whole = read_records(path)
    for size in (1, 100, 1000):
        monkeypatch.setattr("workbench.store.read_records._BLOCK", size)
        parts = read_records(path)
        assert parts.frame.equals(whole.frame)
        assert (parts.offset, parts.problems) == (whole.offset, whole.problems)


def test_of_records_written_again_the_last_stands(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    write(path, 1, 2, 3)
    write(path, 2, 3, value=0.5)
    write(path, 2, estimator="nelbo")
    frame = deduplicated(read_records(path).frame)
    assert frame.height == 4
    assert frame.filter(step=2, estimator="nll")["value"].item() == 0.5


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"records\.jsonl"):
        RecordWriter(tmp_path / "missing" / "records.jsonl")
