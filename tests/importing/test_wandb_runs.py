"""Offline runs of W&B, whose records are read by its own package."""

import sys
import zlib
from importlib import import_module
from pathlib import Path

import pytest

from tests.importing.test_event_folders import curves, noted
from workbench.errors import InputError
from workbench.importing.importer import read_source
from workbench.importing.points import Points
from workbench.importing.request import Request
from workbench.tracking.wandb_records import WandbFile

pytest.importorskip("wandb")
REAL = Path(__file__).parent / "real" / "wandb"
BLOCK = 2**15


def read(source: Path, **columns: str) -> Points:
    return read_source(source, Request(columns=columns, units={"total_tokens": 1}))


def framed(contents: list[bytes]) -> bytes:
    """Records in blocks, by the description of LevelDB's log format."""
    out = bytearray(b":W&B\xe1\xbe\x00")
    for content in contents:
        begun = False
        while True:
            room = BLOCK - len(out) % BLOCK
            if room < 7:
                out += bytes(room)
                continue
            piece, content = content[: room - 7], content[room - 7 :]
            kind = {(0, 0): 1, (0, 1): 2, (1, 1): 3, (1, 0): 4}[int(begun), int(bool(content))]
            checksum = zlib.crc32(bytes([kind]) + piece)
            out += checksum.to_bytes(4, "little") + len(piece).to_bytes(2, "little") + bytes([kind])
            out += piece
            begun = True
            if not content:
                break
    return bytes(out)


def run_file(path: Path, name: str, rows: list[dict[str, float]]) -> Path:
    messages = import_module("wandb.proto.wandb_internal_pb2")
    records = [messages.Record()]
    records[0].run.display_name = name
    for number, row in enumerate(rows):
        record = messages.Record()
        record.history.step.num = number
        for key, value in row.items():
            item = record.history.item.add(value_json=str(value))
            item.nested_key.append(key)
        records.append(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(framed([record.SerializeToString() for record in records]))
    return path


@pytest.mark.parametrize(
    "sizes", [[0], [1, BLOCK - 7 - 7 - 8], [3 * BLOCK, 5], [BLOCK - 20, 40_000]]
)
def test_records_come_back_over_the_ends_of_blocks(tmp_path: Path, sizes: list[int]) -> None:
    contents = [bytes([n + 1]) * size for n, size in enumerate(sizes)]
    path = tmp_path / "run-a.wandb"
    path.write_bytes(framed(contents))
    file = WandbFile(path)
    assert list(file.records()) == contents
    assert file.notes == []


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_a_run_that_was_killed_has_what_was_written(tmp_path: Path, cut: int) -> None:
    rows = [{"eval/loss": 9.0 - n, "tokens": 10.0 * n} for n in range(9)]
    path = run_file(tmp_path / "run-a.wandb", "1b_2e_ar_1b", rows)
    path.write_bytes(path.read_bytes()[:-cut])
    points = read(path)
    assert 0 < len(curves(points)["val_loss"]) < 9
    assert noted(points, "cut off or damaged")


def test_a_flipped_bit_ends_the_reading(tmp_path: Path) -> None:
    rows = [{"eval/loss": 9.0 - n, "tokens": 10.0 * n} for n in range(9)]
    path = run_file(tmp_path / "run-a.wandb", "1b_2e_ar_1b", rows)
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    assert len(curves(read(path))["val_loss"]) == 8


@pytest.mark.parametrize("key", ["train/global_step", "trainer/global_step", "global_step"])
def test_steps_are_the_optimizers_where_they_were_logged(tmp_path: Path, key: str) -> None:
    rows = [{"eval/loss": 9.0 - n, key: 100.0 * n} for n in range(1, 4)]
    path = run_file(tmp_path / "run-a.wandb", "1b_2e_ar_1b", rows)
    assert curves(read(path, tokens_per_step="1")) == {
        "val_loss": [(100, 8.0), (200, 7.0), (300, 6.0)]
    }


def test_a_run_that_goes_on_under_its_id_is_one(tmp_path: Path) -> None:
    for day, first, last in ((1, 1, 6), (2, 4, 5)):
        rows = [{"eval/loss": 9.0 - n - day / 10, "global_step": n} for n in range(first, last + 1)]
        rows = [{**row, "_timestamp": day * 100.0 + n} for n, row in enumerate(rows)]
        run_file(tmp_path / f"offline-run-0{day}-a" / "run-a.wandb", "1b_2e_ar_1b", rows)
    points = read(tmp_path)
    assert curves(points)["val_loss"] == [(1, 7.9), (2, 6.9), (3, 5.9), (4, 4.8), (5, 3.8)]


def test_a_session_that_counts_steps_anew_is_refused(tmp_path: Path) -> None:
    for day in (1, 2):
        folder = tmp_path / f"offline-run-0{day}-a"
        run_file(folder / "run-a.wandb", "1b_2e_ar_1b", [{"eval/loss": 5.0}, {"eval/loss": 4.0}])
    with pytest.raises(InputError, match="counts its steps from the start again"):
        read(tmp_path)


def test_runs_of_one_name_are_distinguished_by_their_ids(tmp_path: Path) -> None:
    for run in ("a", "b"):
        folder = tmp_path / f"offline-run-01-{run}"
        run_file(folder / f"run-{run}.wandb", "1b_2e_ar_1b", [{"eval/loss": 5.0, "tokens": 3.0}])
    assert sorted(read(tmp_path).frame["folder"]) == ["run-a", "run-b"]


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb.proto.wandb_internal_pb2", None)
    with pytest.raises(InputError, match=r"pip install 'workbench\[wandb\]'"):
        read(REAL)


@pytest.mark.parametrize(
    "content", [b"", b":W&B", b"something else", framed([b"\xff\xff\xff\xff"])]
)
def test_another_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run-a.wandb"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"run-a\.wandb"):
        read(path)
