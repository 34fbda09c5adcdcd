"""Columns of tables: text and bytes are read, every other type is refused by its name."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data.read import FILES, texts_of
from workbench.errors import InputError

CASE = FILES / "parquet-not-text"
TEXTS = ["thunder", "willow", None, "orchid"]


def test_bytes_without_the_mark_of_text_are_decoded() -> None:
    texts = texts_of(CASE / "binary.parquet")
    assert len(texts) == 80
    assert not any(text.startswith("b'") for text in texts)
    assert texts == texts_of(FILES / "compressed-jsonl" / "texts.jsonl.gz")


@pytest.mark.parametrize(
    ("file", "column", "kind"),
    [("chat", "messages", "list<.*struct<role"), ("token-ids", "input_ids", "list<.*int64")],
)
def test_lists_of_messages_and_of_ids_are_refused(file: str, column: str, kind: str) -> None:
    with pytest.raises(InputError, match=rf'{file}\.parquet.*"{column}" is no text.*{kind}'):
        texts_of(CASE / f"{file}.parquet", text_key=column)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, 2]), pa.array([1.5, 2.0]), pa.array([True, False]),
        pa.array([{"a": "x"}]), pa.array([["x"]]), pa.array([1, 2]).cast(pa.timestamp("s")),
        pa.array([1, 1]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)  # fmt: skip
@pytest.mark.parametrize("text_key", ["text", "{text}!"])
def test_columns_that_are_no_text_are_refused(
    column: pa.Array, text_key: str, tmp_path: Path
) -> None:
    parquet.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r'the column "text" is no text: its type is'):
        texts_of(tmp_path / "a.parquet", text_key=text_key)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS), pa.array(TEXTS, pa.large_string()), pa.array(TEXTS).dictionary_encode(),
        pa.array(TEXTS).cast(pa.large_binary()), pa.array(TEXTS).cast(pa.string_view()),
    ],
    ids=lambda column: str(column.type)[:12],
)  # fmt: skip
def test_every_way_to_store_text_gives_the_same_texts(column: pa.Array, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet") == ["thunder", "willow", "orchid"]


def test_a_column_of_nulls_alone_is_no_text_to_read(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": pa.nulls(3)}), tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet") == []


@pytest.mark.parametrize("place", ["middle", "end"])
def test_a_damaged_parquet_file_is_refused_by_name(place: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"number {i} " * 20 for i in range(20_000)]
    parquet.write_table(pa.table({"text": texts}), path, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    if place == "middle":
        at = len(content) // 2
        content[at : at + 400] = bytes(400)
    else:
        del content[-200:]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet: no Parquet file, or a damaged one"):
        texts_of(path)


def test_quoted_commas_quotes_and_line_ends_are_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'n,text\r\n1,"a, ""b""\r\nc"\r\n\r\n2,plain\r\n')
    assert texts_of(path) == ['a, "b"\r\nc', "plain"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("n,text\n1,fine\n2,one, two\n", r"line 3: 3 fields, and the header has 2.*quotes"),
        ("n,text\n1\n", r"line 2: 1 fields"),
        ("n,body\n1,x\n", r'no column "text"; columns are n, body.*data\.text_key'),
        ("text,text\na,b\n", r'more than one column "text"'),
        ('n,text\n1,"never closed\n2,x\n', r"line 3: not CSV"),
        ("", r'no column "text"'),
    ],
)
def test_a_table_that_would_be_misread_is_refused_by_line(
    content: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=rf"a\.csv.*{words}"):
        texts_of(tmp_path / "a.csv")


def test_scores_of_a_table_are_numbers(tmp_path: Path) -> None:
    from workbench.data.corpora import open_corpus

    path = tmp_path / "a.csv"
    path.write_text("text,score\na,0.5\nb,2\n")
    opened = open_corpus(str(path), document="file", text_key="text", quality_key="score")
    assert [piece.score for piece in opened.pieces()] == [0.5, 2.0]
    path.write_text("text,score\na,0.5\nb,much\n")
    opened = open_corpus(str(path), document="file", text_key="text", quality_key="score")
    with pytest.raises(InputError, match=r"line 3: no number \"score\" \(it is 'much'\)"):
        list(opened.pieces())
