"""Quality by names of a corpus's own: each bucket is the documents that carry its name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.data.test_preparation import config, documents
from workbench.data import find_prepared
from workbench.data.preparation import prepare
from workbench.errors import InputError

NAMES = ["high", "medium", "low"]
TEXTS = [f"document {i} " + "word " * (i % 23) for i in range(300)]
ROWS = [{"text": text, "label": NAMES[i % 3]} for i, text in enumerate(TEXTS)]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def by_name(folder: Path, place: str) -> None:
    """A file for each bucket, its path as `place` says."""
    for name in NAMES:
        jsonl(folder / place.format(name), [row for row in ROWS if row["label"] == name])


WAYS: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "field": (lambda folder: jsonl(folder / "rows.jsonl", ROWS), "rows.jsonl", "label"),
    "column": (
        lambda folder: pl.DataFrame(ROWS).write_parquet(folder / "rows.parquet"),
        "rows.parquet",
        "label",
    ),
    "csv": (lambda folder: pl.DataFrame(ROWS).write_csv(folder / "r.csv"), "r.csv", "label"),
    "folders": (
        lambda folder: by_name(folder, "c/quality={}/kind=actual/part.jsonl"),
        "c",
        "quality={}",
    ),
    "files": (lambda folder: by_name(folder, "c/{}.part1.jsonl"), "c/*.jsonl", "{}.part*.jsonl"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_bucket_is_the_documents_of_its_name_beside_one_held_out_text(
    way: str, tmp_path: Path
) -> None:
    """The split is that of the whole corpus, so that losses of buckets compare."""
    write, corpus, bucket = WAYS[way]
    write(tmp_path)
    results = tmp_path / "results"
    plain = prepare(config(tmp_path / corpus), results)
    held_out = set(documents(plain.held_out()))
    for name in NAMES:
        data = config(tmp_path / corpus, quality=name, quality_bucket=bucket)
        prepared = prepare(data, results)
        of_name = {row["text"].encode() for row in ROWS if row["label"] == name}
        assert set(documents(prepared.train())) == of_name - held_out
        assert prepared.held_out().tobytes() == plain.held_out().tobytes()
        assert prepared.manifest["quality"]["tier"] == name


def test_one_pass_makes_all_buckets_and_another_field_makes_others(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", [row | {"int_score": i % 2} for i, row in enumerate(ROWS)])
    results = tmp_path / "results"

    def data(name: str, bucket: str) -> Any:
        return config(tmp_path / "rows.jsonl", quality=name, quality_bucket=bucket)

    prepare(data("medium", "label"), results)
    assert all(find_prepared(data(name, "label"), results) for name in NAMES)
    assert find_prepared(data("1", "int_score"), results) is None
    assert prepare(data("1", "int_score"), results).manifest["quality"]["documents"] > 100


def test_a_name_that_no_document_has_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", ROWS)
    data = config(tmp_path / "rows.jsonl", quality="meduim", quality_bucket="label")
    with pytest.raises(
        InputError, match=r"did you mean 'medium'\?.* high \(\d+\), medium"
    ) as error:
        prepare(data, tmp_path / "results")
    assert "low (" in str(error.value)
    assert not list((tmp_path / "results" / "data").glob("*/manifest.json"))


@pytest.mark.parametrize(
    ("rows", "bucket", "words"),
    [
        ([{"text": "a", "label": "high"}, {"text": "b"}], "label", ["line 2", "its keys are text"]),
        ([{"text": "a", "label": None}], "label", ["line 1", "None"]),
        ([{"text": "a", "label": 0.5}], "label", ["line 1", "0.5", "data.quality_key"]),
        ([{"text": "a", "label": True}], "label", ["line 1", "True"]),
        ([{"text": f"{i}", "id": f"x{i}"} for i in range(99)], "id", ["more than 64", '"x0"']),
        ([{"text": "a", "label": "high"}], "quality={}", ["rows.jsonl", "Every file needs"]),
    ],
)
def test_documents_without_a_bucket_are_refused(
    rows: list[dict[str, Any]], bucket: str, words: list[str], tmp_path: Path
) -> None:
    jsonl(tmp_path / "rows.jsonl", rows)
    data = config(tmp_path / "rows.jsonl", quality="high", quality_bucket=bucket)
    with pytest.raises(InputError) as error:
        prepare(data, tmp_path / "results")
    for word in words:
        assert word in str(error.value)


def test_a_corpus_without_fields_has_no_buckets_but_by_its_paths(tmp_path: Path) -> None:
    (tmp_path / "high.txt").write_text("".join(f"good line {i}\n" for i in range(100)))
    (tmp_path / "low.txt").write_text("".join(f"bad line {i}\n" for i in range(100)))
    text = str(tmp_path / "*.txt")
    with pytest.raises(InputError, match="text has no fields"):
        prepare(config(text, quality="high", quality_bucket="label"), tmp_path / "results")
    with pytest.raises(InputError, match="has no buckets"):
        prepare(config("python-stdlib", quality="high", quality_bucket="a{}"), tmp_path / "results")
    prepared = prepare(config(text, quality="high", quality_bucket="{}.txt"), tmp_path / "results")
    assert {text[:4] for text in documents(prepared.train())} == {b"good"}
