"""Quality: tiers are a partition by score, of equal tokens, beside one and the same split."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.test_preparation import config, documents
from workbench.data import PreparedData, find_prepared
from workbench.data.corpora import PythonStdlib
from workbench.data.preparation import prepare
from workbench.data.quality import builtin_scores, tier_of
from workbench.data.streams import training_stream
from workbench.errors import InputError
from workbench.recipe.data import TIERS

TEXTS = [f"document {i} " + "word " * (i % 23) for i in range(400)]
SCORES = [(i * 7919) % 97 / 10 for i in range(400)]  # some of them equal


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"text": t, "score": s}) for t, s in zip(TEXTS, SCORES, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def tiers(corpus: Path, results: Path, **keys: Any) -> dict[str, PreparedData]:
    keys = keys or {"quality_key": "score"}
    return {tier: prepare(config(corpus, quality=tier, **keys), results) for tier in TIERS}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50), st.booleans()), min_size=1),
    st.integers(0, 1000),
)
def test_tiers_partition_the_training_documents_into_equal_tokens(
    rows: list[tuple[int, int, bool]], seed: int
) -> None:
    scores = np.array([row[0] for row in rows], np.float64)
    lengths = np.array([row[1] for row in rows], np.int64)
    training = np.array([row[2] for row in rows])
    digests = np.random.default_rng(seed).integers(0, 2**63, (len(rows), 2)).astype(np.uint64)
    tier = tier_of(scores, digests, lengths, training)
    assert ((tier >= 0) == training).all(), "each training document is in one tier, no other"
    sizes = [lengths[tier == number].sum() for number in range(3)]
    longest = lengths[training].max(initial=0)
    assert max(abs(size - lengths[training].sum() / 3) for size in sizes) <= longest
    for low, high in ((0, 1), (1, 2), (0, 2)):
        if (tier == low).any() and (tier == high).any():
            assert scores[tier == low].max() <= scores[tier == high].min()
    order = np.random.default_rng(seed + 1).permutation(len(rows))
    again = tier_of(scores[order], digests[order], lengths[order], training[order])
    np.testing.assert_array_equal(again, tier[order], "equal scores go by the documents' hashes")


def test_tiers_share_one_split_and_no_document(rows: Path, tmp_path: Path) -> None:
    plain = prepare(config(rows), tmp_path / "results")
    cut = tiers(rows, tmp_path / "results")
    trained = [document for tier in cut.values() for document in documents(tier.train())]
    assert sorted(trained) == sorted(documents(plain.train()))
    held_out = set(documents(plain.held_out()))
    for tier in cut.values():
        assert tier.held_out().tobytes() == plain.held_out().tobytes(), "curves compare"
        assert not held_out & set(documents(tier.train()))
        assert abs(tier.train_tokens - plain.train_tokens / 3) <= max(map(len, TEXTS)) + 1
    ranges = [tier.manifest["quality"] for tier in cut.values()]
    assert ranges[0]["highest_score"] <= ranges[1]["lowest_score"]
    assert ranges[1]["highest_score"] <= ranges[2]["lowest_score"]
    assert len({tier.fingerprint for tier in cut.values()}) == 3


def test_one_pass_makes_all_tiers(rows: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    prepare(config(rows, quality="medium", quality_key="score"), results)
    for tier in TIERS:
        assert find_prepared(config(rows, quality=tier, quality_key="score"), results)
    assert find_prepared(config(rows), results) is None
    assert not list((results / "data").glob(".unfinished-*"))


def test_budgets_nest_within_a_tier(rows: Path, tmp_path: Path) -> None:
    data = config(rows, quality="high", quality_key="score", unique_tokens=160)
    prepared = prepare(data, tmp_path / "results")
    small, large = (
        training_stream(prepared, data.model_copy(update={"unique_tokens": n}), order_seed=0)
        for n in (160, 480)
    )
    few, many = small.batch(0, 20).tokens, large.batch(0, 60).tokens
    assert set(map(tuple, few)) < set(map(tuple, many))


def test_scores_of_a_key_and_of_any_file_give_the_same_tiers(rows: Path, tmp_path: Path) -> None:
    pl.DataFrame({"text": TEXTS, "score": SCORES}).write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "a.txt").write_text("".join(f"{score}\n" for score in SCORES))
    (tmp_path / "b.jsonl").write_text("".join(f'{{"score": {score}}}\n' for score in SCORES))
    pl.DataFrame({"id": range(400), "score": SCORES}).write_csv(tmp_path / "c.csv")
    pl.DataFrame({"value": SCORES}).write_parquet(tmp_path / "d.parquet")
    np.save(tmp_path / "e.npy", np.array(SCORES))
    of_key = tiers(rows, tmp_path / "key")["low"].fingerprint
    parquet = tiers(tmp_path / "rows.parquet", tmp_path / "parquet")["low"]
    assert parquet.fingerprint == of_key
    for name in ("a.txt", "b.jsonl", "c.csv", "d.parquet", "e.npy"):
        low = tiers(rows, tmp_path / name[0], quality_scores=str(tmp_path / name))["low"]
        assert low.fingerprint == of_key, name


def test_other_scores_are_noticed(rows: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.txt"
    scores.write_text("".join(f"{score}\n" for score in SCORES))
    data = config(rows, quality="low", quality_scores=str(scores))
    first = prepare(data, tmp_path / "results")
    scores.write_text("".join(f"{-score}\n" for score in SCORES))
    assert find_prepared(data, tmp_path / "results") is None
    assert prepare(data, tmp_path / "results").fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("content", "keys", "words"),
    [
        ('{"text": "a", "score": 1}\n{"text": "b"}\n', {"quality_key": "score"}, ["line 2"]),
        ('{"text": "a", "score": null}\n', {"quality_key": "score"}, ["line 1", "None"]),
        ('{"text": "a", "score": true}\n', {"quality_key": "score"}, ["line 1", "True"]),
        ('{"text": "a"}\n{"text": "b"}\n', {"quality_scores": "s.txt"}, ["3 scores", "2 doc"]),
        ('{"text": "a"}\n{"text": "b"}\n', {"quality_scores": "none.txt"}, ["none.txt", "No such"]),
        ('{"text": "a"}\n{"text": "b"}\n', {"quality_scores": "s.xls"}, [".xls", ".parquet"]),
        ('{"text": "a"}\n{"text": "b"}\n', {"quality_scores": "bad.txt"}, ["could not convert"]),
        ('{"text": "a"}\n{"text": "b"}\n', {"quality_scores": "nan.txt"}, ["score 2", "finite"]),
    ],
)
def test_documents_without_a_score_are_refused(
    content: str, keys: dict[str, str], words: list[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(content)
    Path("s.txt").write_text("1\n2\n3\n")
    Path("bad.txt").write_text("1\nx\n")
    Path("nan.txt").write_text("1\nnan\n")
    Path("s.xls").write_text("")
    with pytest.raises(InputError) as refused:
        prepare(config(tmp_path / "rows.jsonl", quality="low", **keys), tmp_path / "results")
    for word in words:
        assert word in str(refused.value)


def test_text_has_no_key(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match="builtin"):
        prepare(config(tmp_path / "a.txt", quality="low", quality_key="score"), tmp_path)


CODE = '''"""Adds numbers."""


def add(first, second):
    """The sum of two numbers."""
    return first + second
'''


@pytest.mark.parametrize(
    "worse",
    [
        CODE.replace('"""The sum of two numbers."""\n    ', "").replace('"""Adds numbers."""', ""),
        CODE + "TABLE = [" + "0x3f, 0x41, " * 60 + "]\n",
        CODE + "    return first + second\n" * 20,
        "x = 'aGVsbG8gd29ybGQ=" + "QUJD0123456789" * 30 + "'\n",
    ],
    ids=["undocumented", "table on one line", "repeated", "encoded"],
)
def test_the_builtin_score_prefers_explained_varied_text(worse: str) -> None:
    good, bad = builtin_scores([CODE, worse])
    assert good > bad


@given(st.lists(st.text(max_size=80), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_the_builtin_score_is_a_share_and_of_each_text_alone(texts: list[str]) -> None:
    together = builtin_scores(texts)
    assert ((together >= 0) & (together <= 1)).all()
    np.testing.assert_array_equal(together, [builtin_scores([text])[0] for text in texts])


def test_the_default_corpus_has_tiers(tmp_path: Path) -> None:
    cut = {
        tier: prepare(
            config(
                "python-stdlib", document="file", quality=tier, quality_score="builtin",
                validation_tokens=32_768,
            ),
            tmp_path,
        )
        for tier in TIERS
    }  # fmt: skip
    sizes = [tier.train_tokens for tier in cut.values()]
    longest = max(file.stat().st_size for file in PythonStdlib("file").files)
    assert max(abs(size - sum(sizes) / 3) for size in sizes) <= longest
    assert cut["high"].manifest["quality"]["score"] == {"score": "builtin/1"}
