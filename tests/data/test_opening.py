"""Compressed files are read as the files that they hold, and refused by name where they are bad."""

import json
import lzma
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from tests.data.read import FILES, texts_of
from workbench.data import opening
from workbench.data.opening import COMPRESSIONS, format_of
from workbench.errors import InputError

TEXTS = [f"line {i} of it, with ünïcode" for i in range(300)]


def compress(content: bytes, path: Path) -> Path:
    """Write content as `path`'s last ending says."""
    if path.suffix == ".xz":
        path.write_bytes(lzma.compress(content))
    else:
        with pa.output_stream(str(path), compression=COMPRESSIONS[path.suffix]) as out:
            out.write(content)
    return path


@pytest.fixture(params=COMPRESSIONS)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


WRITERS: dict[str, Callable[[Path], object]] = {
    ".txt": lambda path: path.write_text("\n".join(TEXTS)),
    ".md": lambda path: path.write_text("\n".join(TEXTS)),
    ".py": lambda path: path.write_text("\n".join(TEXTS)),
    ".jsonl": lambda path: path.write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS)),
    ".csv": lambda path: pl.DataFrame({"n": range(300), "text": TEXTS}).write_csv(path),
    ".tsv": lambda path: pl.DataFrame({"text": TEXTS}).write_csv(path, separator="\t"),
    ".parquet": lambda path: pl.DataFrame({"text": TEXTS}).write_parquet(path),
    ".arrow": lambda path: pl.DataFrame({"text": TEXTS}).write_ipc(path),
}


def test_every_format_is_read_plain_and_compressed(suffix: str, tmp_path: Path) -> None:
    for ending, write in WRITERS.items():
        plain = tmp_path / f"a{ending}"
        write(plain)
        assert texts_of(plain) == TEXTS, ending
        assert texts_of(compress(plain.read_bytes(), tmp_path / f"b{ending}{suffix}")) == TEXTS


def test_a_published_file_is_read(tmp_path: Path) -> None:
    texts = texts_of(FILES / "compressed-jsonl" / "texts.jsonl.gz")
    assert len(texts) == 80
    assert all(texts)


def test_parts_in_a_row_are_all_read(suffix: str, tmp_path: Path) -> None:
    """As `cat`, parallel compressors and shards that were appended to give."""
    one = compress("\n".join(TEXTS[:100]).encode() + b"\n", tmp_path / f"one{suffix}").read_bytes()
    two = compress("\n".join(TEXTS[100:]).encode(), tmp_path / f"two{suffix}").read_bytes()
    (tmp_path / f"a.txt{suffix}").write_bytes(one + two)
    assert texts_of(tmp_path / f"a.txt{suffix}") == TEXTS


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".parquet"])
def test_a_file_that_is_cut_off_is_refused_by_name(
    ending: str, suffix: str, tmp_path: Path
) -> None:
    plain = tmp_path / f"a{ending}"
    WRITERS[ending](plain)
    whole = compress(plain.read_bytes(), tmp_path / f"b{ending}{suffix}")
    whole.write_bytes(whole.read_bytes()[:-6])
    with pytest.raises(InputError, match=rf"b\{ending}\{suffix}.*cut off"):
        texts_of(whole)


def test_a_name_that_lies_is_refused_by_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_text("no compressed text at all, but long enough to be looked at " * 9)
    with pytest.raises(InputError, match=rf"a\.txt\{suffix}: cannot be decompressed"):
        texts_of(path)


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".parquet"])
def test_what_expands_without_end_is_refused_before_it_fills_the_disk(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = compress(bytes(80 << 20), tmp_path / f"bomb{ending}.zst")
    assert bomb.stat().st_size < 20_000
    read = []
    read_block = opening._Expanded._read_block

    def counted(self: opening._Expanded) -> bytes:
        read.append(self._read)
        return read_block(self)

    monkeypatch.setattr(opening._Expanded, "_read_block", counted)
    with pytest.raises(InputError, match=r"bomb.*expands to more than 300 times"):
        texts_of(bomb)
    assert max(read) <= opening._ALWAYS_READ + opening._BUFFER


def test_the_ending_that_names_the_format_is_found_in_any_case() -> None:
    names = ["a.jsonl", "C.JSONL", "x.y.Txt.GZ", "c4-train.00000-of-01024.json.gz", "README", ".gz"]
    kinds = [".jsonl", ".jsonl", ".txt", ".json", "", ""]
    assert [format_of(Path(name)) for name in names] == kinds
