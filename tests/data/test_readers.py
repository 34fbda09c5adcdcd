"""A row's text: null and empty ones are left out alike, what is no text is refused by place."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data.read import FILES, read, texts_of
from workbench.data import readers
from workbench.data.documents import _ids
from workbench.data.preparation import prepare
from workbench.data.reading import Piece, reading_notes
from workbench.data.tokenizers import load_tokenizer, train_bpe
from workbench.errors import InputError
from workbench.recipe import DataConfig

ROWS = [{"text": text, "n": 1} for text in ("one", None, "", "two", None)]
EMOJI = "\U0001f600"


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as a file of the path's type; CSV has no null, only empty."""
    if path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif path.suffix == ".arrow":
        pl.DataFrame(rows).write_ipc(path)
    elif path.suffix == ".csv":
        pl.DataFrame(rows).write_csv(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("a.jsonl", {"null": 2, "empty": 1}),
        ("a.parquet", {"null": 2, "empty": 1}),
        ("a.arrow", {"null": 2, "empty": 1}),
        ("a.csv", {"empty": 3}),
    ],
)
@pytest.mark.parametrize("text_key", ["text", "{text}"])
def test_rows_without_text_are_left_out_and_counted_alike(
    name: str, left_out: dict[str, int], text_key: str, tmp_path: Path
) -> None:
    texts, counts = read(write(tmp_path / name, ROWS), text_key=text_key)
    assert texts == ["one", "two"]
    assert counts.left_out == Counter(left_out)


def test_what_was_left_out_is_remembered_with_the_prepared_data(tmp_path: Path) -> None:
    data = DataConfig(
        corpus=str(FILES / "jsonl-null-text" / "texts.jsonl"),
        unique_tokens=640, seq_len=32, validation_tokens=640,
    )  # fmt: skip
    read_of = prepare(data, tmp_path).seen["read"]
    assert prepare(data, tmp_path).seen["read"] == read_of, "as it is found again"
    assert read_of == [{"corpus": data.corpus, "documents": 80, "left_out": {"null": 1}}]
    assert [note.removeprefix(data.corpus) for note in reading_notes(read_of)] == [
        ": 1 row is left out: its text is null."
    ]


def test_half_a_surrogate_pair_is_refused_by_line_or_replaced() -> None:
    path = FILES / "lone-surrogate" / "texts.jsonl"
    with pytest.raises(InputError, match=r"texts\.jsonl, line 81.*ud83d.*encoding_errors"):
        texts_of(path)
    texts, counts = read(path, encoding_errors="replace")
    assert len(texts) == 81
    assert "\ufffd" in texts[80]
    assert counts.replaced == 1


@pytest.mark.parametrize(
    ("escaped", "replaced"),
    [
        (r"a \ude00 b", "a \ufffd b"),
        (r"cut \ud83d", "cut \ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd" + EMOJI),
    ],
)
def test_either_half_is_found_and_whole_pairs_stay(
    escaped: str, replaced: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "\\ud83d\\ude00 \\u00e9"}\n{"text": "' + escaped + '"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 2.*half of a surrogate pair"):
        texts_of(path)
    assert texts_of(path, encoding_errors="replace") == [f"{EMOJI} é", replaced]


def test_half_a_pair_in_a_plugins_text_is_no_crash(tmp_path: Path) -> None:
    """Readers name the line; what comes from elsewhere is refused when it is tokenised."""
    train_bpe(iter(["some text"]), 257, tmp_path / "tokenizer.json")
    for spec in ("bytes", str(tmp_path / "tokenizer.json")):
        with pytest.raises(InputError, match="tales: half of a surrogate pair"):
            _ids([Piece("fine", True), Piece("\ud83d", True)], load_tokenizer(spec), "tales")


def _bytes_of(path: Path) -> Path:
    """Three rows of which the second is no UTF-8, as a file of the path's type."""
    rows = [b"fine \xc3\xa9", b"bad \xff here", b"fine again"]
    if path.suffix == ".parquet":
        kind = pa.binary() if path.stem == "bytes" else pa.string()
        column = pa.array(rows, pa.binary()).view(kind)
        parquet.write_table(pa.table({"text": column}), path)
    elif path.suffix == ".jsonl":
        path.write_bytes(b"".join(b'{"text": "%s"}\n' % row for row in rows))
    else:
        path.write_bytes(b"\n".join([b"text"] * (path.suffix == ".csv") + rows) + b"\n")
    return path


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.txt", "line 2"), ("a.py", "line 2"), ("a.csv", "line 3"), ("a.jsonl", "line 2"),
        ("bytes.parquet", "row 2"), ("marked.parquet", "row 2"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_text_are_refused_by_place_or_replaced(
    name: str, place: str, tmp_path: Path
) -> None:
    path = _bytes_of(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name}, {place}: not UTF-8.*0xff.*encoding_errors"):
        texts_of(path)
    texts, counts = read(path, encoding_errors="replace")
    assert texts == ["fine é", "bad \ufffd here", "fine again"]
    assert counts.replaced == 1


def test_a_mark_at_the_beginning_is_no_part_of_a_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('\ufeff{"text": "one"}\n', encoding="utf-8")
    (tmp_path / "a.csv").write_text("\ufefftext,n\none,1\n", encoding="utf-8")
    assert texts_of(tmp_path / "a.jsonl") == texts_of(tmp_path / "a.csv") == ["one"]


def test_a_line_that_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "_LONGEST_LINE", 1000)
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n{"text": "' + "x" * 2000)
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: longer than"):
        texts_of(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv"])
def test_a_template_joins_fields(suffix: str, tmp_path: Path) -> None:
    rows = [{"q": "why?", "a": "so.", "n": 1}, {"q": "", "a": "then", "n": 2}]
    path = write(tmp_path / f"a{suffix}", rows)
    assert texts_of(path, text_key="Q: {q}\n{{A}}: {a}{a}") == [
        "Q: why?\n{A}: so.so.", "Q: \n{A}: thenthen",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r'"b".*q, a, n'):
        texts_of(path, text_key="{q}{b}")
    if suffix != ".csv":
        with pytest.raises(InputError, match=r'"n".* is no text'):
            texts_of(path, text_key="{q}{n}")


def test_a_template_whose_fields_are_all_empty_or_one_null_is_left_out(tmp_path: Path) -> None:
    rows = [{"q": "", "a": ""}, {"q": "why", "a": None}, {"q": "why", "a": ""}]
    texts, counts = read(write(tmp_path / "a.jsonl", rows), text_key="{q}\n{a}")
    assert texts == ["why\n"]
    assert counts.left_out == {"empty": 1, "null": 1}


@pytest.mark.parametrize("value", [3, 2.5, True, ["a"], {"a": "b"}])
def test_a_field_of_another_kind_is_refused_by_line(value: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "x"}, {"text": value}])
    with pytest.raises(InputError, match=r'line 2: "text" is no text but'):
        texts_of(path)
