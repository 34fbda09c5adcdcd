"""Preparation: what is in the corpus is in the shards once, on one side of the split."""

import json
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data import PreparedData, find_prepared
from workbench.data.preparation import prepare
from workbench.data.tokenizers import train_bpe
from workbench.errors import InputError
from workbench.planning.prepare import prepare_study
from workbench.recipe import DataConfig, load_recipe


def config(corpus: Path | str, **changes: Any) -> DataConfig:
    values = {"unique_tokens": 64, "seq_len": 8, "validation_tokens": 64, "document": "line"}
    return DataConfig(corpus=str(corpus), **{**values, **changes})


def documents(tokens: np.ndarray, eod: int = 0) -> list[bytes]:
    return bytes(tokens.astype(np.uint8)).split(bytes([eod]))[:-1]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"line number {i} of many\n" for i in range(300)))
    return path


def test_every_document_is_in_the_shards_once_on_one_side(lines: Path, tmp_path: Path) -> None:
    lines.write_text(lines.read_text() + lines.read_text()[:500])
    prepared = prepare(config(lines), tmp_path / "results")
    train, held_out = documents(prepared.train()), documents(prepared.held_out())
    assert not set(train) & set(held_out)
    assert sorted(train + held_out) == sorted(set(lines.read_bytes().splitlines()))
    assert prepared.manifest["duplicates_removed"] > 10


@given(st.lists(st.text("ab\n é", max_size=12), min_size=12, max_size=40))
@settings(max_examples=40, deadline=None)
def test_any_text_survives_tokenising_and_splitting(texts: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text.jsonl")
        texts = [*texts, *(f"filler {i} to have enough" for i in range(40))]
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        prepared = prepare(config(path), Path(folder))
        prepared_documents = documents(prepared.train()) + documents(prepared.held_out())
        assert sorted(prepared_documents) == sorted({text.encode() for text in texts if text})


def test_spans_of_held_out_documents_end_at_their_separators(lines: Path, tmp_path: Path) -> None:
    prepared = prepare(config(lines), tmp_path / "results")
    spans, tokens = prepared.held_out_documents(), prepared.held_out()
    assert spans[0, 0] == 0
    assert spans[-1, 1] == len(tokens)
    assert (tokens[spans[:, 1] - 1] == 0).all()
    assert (spans[1:, 0] == spans[:-1, 1]).all()


def test_preparing_again_finds_the_same_and_a_change_is_noticed(
    lines: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    assert find_prepared(config(lines), results) is None
    first = prepare(config(lines), results)
    assert find_prepared(config(lines), results) == first
    assert prepare(config(lines), results) == first
    lines.write_text(lines.read_text() + "one more line\n")
    assert find_prepared(config(lines), results) is None
    assert prepare(config(lines), results).fingerprint != first.fingerprint
    assert not list((results / "data").glob(".unfinished-*"))


def test_the_fingerprint_is_of_the_tokens_and_not_of_the_place(lines: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_bytes(lines.read_bytes())
    fingerprint = prepare(config(lines), tmp_path / "a").fingerprint
    assert prepare(config(copy), tmp_path / "b").fingerprint == fingerprint


def test_documents_larger_than_a_chunk_are_not_broken(tmp_path: Path) -> None:
    for i, size in enumerate((3_000_000, 100, 70_000)):
        (tmp_path / f"{i}.txt").write_text(f"{i}" + "x" * size)
    prepared = prepare(
        config(tmp_path / "*.txt", document="file", validation_tokens=8), tmp_path / "results"
    )
    sizes = sorted(len(d) for d in documents(prepared.train()) + documents(prepared.held_out()))
    assert sizes == [101, 70_001, 3_000_001]


@pytest.mark.parametrize("document", ["line", "blank-line"])
def test_what_a_document_is_decides_where_text_is_cut(document: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"first {i}\nsecond {i}\n\n" for i in range(50)))
    prepared = prepare(config(path, document=document), tmp_path / "results")
    prepared_documents = documents(prepared.train()) + documents(prepared.held_out())
    assert len(prepared_documents) == (100 if document == "line" else 50)
    assert (b"first 7\nsecond 7" in prepared_documents) == (document == "blank-line")


def test_parquet_and_json_lines_give_the_same_shards(tmp_path: Path) -> None:
    import polars as pl

    texts = [f"document {i}" for i in range(100)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"body": t}) + "\n" for t in texts))
    pl.DataFrame({"body": texts}).write_parquet(tmp_path / "b.parquet")
    prints = [
        prepare(config(tmp_path / name, text_key="body"), tmp_path / "results").fingerprint
        for name in ("a.jsonl", "b.parquet")
    ]
    assert prints[0] == prints[1]


def test_hub_data_is_read_from_a_local_folder_in_the_hubs_format(tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    rows = [json.dumps({"text": f"row {i} of the set" if i != 7 else None}) for i in range(101)]
    (folder / "train.jsonl").write_text("\n".join(rows) + "\n")
    prepared = prepare(config(f"hf:{folder}"), tmp_path / "results")
    assert prepared.manifest["documents"] == 100
    assert prepared.seen["read"][0]["left_out"] == {"null": 1}


def test_bpe_tokens_are_whole_and_fewer_than_bytes(lines: Path, tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    size = train_bpe(iter([lines.read_text()]), 300, tokenizer)
    prepared = prepare(config(lines, tokenizer=str(tokenizer)), tmp_path / "results")
    vocabulary = prepared.vocab
    assert vocabulary.n_tokens == size
    assert vocabulary.size % 8 == 0
    assert vocabulary.mask_id >= size
    assert vocabulary.bos_id < vocabulary.size
    assert prepared.train().max() < size
    assert prepared.bytes_per_token > 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"\xff\xfe bad", ["a.txt", "UTF-8"]),
        ("a.jsonl", b'{"text": "x"}\n{"text": 3}\n', ["line 2", '"text"', "data.text_key"]),
        ("a.jsonl", b'{"text": "x"}\n{broken\n', ["line 2", "JSON"]),
        ("a.parquet", b"not parquet", ["a.parquet", "Parquet"]),
        ("a.csv", b"x", ["a.csv", "columns are x", "data.text_key"]),
        ("a.docx", b"x", [".docx", ".jsonl", "data.suffixes"]),
        ("a.txt", b"only one line\n", ["1 document", "blank-line"]),
        ("a.txt", b"few\nwords\n", ["data.validation_tokens", "half"]),
    ],
)
def test_a_bad_corpus_is_refused_and_leaves_nothing(
    name: str, content: bytes, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        prepare(config(path), tmp_path / "results")
    for word in words:
        assert word in str(refused.value)
    left = [p for p in (tmp_path / "results").rglob("*") if p.suffix not in (".lock",)]
    assert all(p.is_dir() for p in left), left


def test_cut_shards_are_noticed(lines: Path, tmp_path: Path) -> None:
    prepared = prepare(config(lines), tmp_path / "results")
    shard = prepared.folder / "train.bin"
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(InputError, match="cut short"):
        PreparedData.open(prepared.folder)
    assert find_prepared(config(lines), tmp_path / "results") is None


def _prepare(arguments: tuple[DataConfig, Path]) -> str:
    return prepare(*arguments).fingerprint


def test_two_processes_that_prepare_at_once_agree(lines: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        prints = pool.map(_prepare, [(config(lines), tmp_path / "results")] * 2, chunksize=1)
    assert prints[0] == prints[1]


@pytest.mark.slow
def test_the_standard_library_is_a_corpus_without_its_tests(tmp_path: Path) -> None:
    from workbench.data.corpora import PythonStdlib

    stdlib = PythonStdlib("file")
    names = [str(path.relative_to(stdlib.root)) for path in stdlib.files]
    assert "argparse.py" in names
    assert not [n for n in names if n.startswith(("test/", "site-packages/", "idlelib/"))]
    assert f"{sys.version_info.major}." in stdlib.signature()


@pytest.mark.parametrize("name", ["train.bin", "held_out.bin", "held_out_documents.npy"])
def test_shards_whose_bytes_went_bad_are_refused_before_a_run_starts(
    name: str, recipe: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    loaded = load_recipe(recipe)
    plan = prepare_study(loaded, results)
    prepare_study(loaded, results)  # sound ones are taken as they are
    assert plan.runs[0].prepared is not None
    path = plan.runs[0].prepared.folder / name
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InputError, match=r"shard there is damaged.*Remove this folder"):
        prepare_study(loaded, results)
