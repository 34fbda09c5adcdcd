"""N-gram overlap: as a brute-force search has it; planted copies are found, clean text is clean."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.test_preparation import config
from workbench.data import ngrams
from workbench.data import overlap_audit as audit
from workbench.data.ngrams import Texts, find_overlap, ngram_hashes, row_blocks, stretch_blocks
from workbench.data.overlap_audit import audit_sets, longest_common, training_blocks
from workbench.data.preparation import prepare, prepare_validation_set

sequences = st.lists(st.integers(0, 2), max_size=60)


@given(sequences, st.integers(1, 12))
def test_ngrams_have_equal_hashes_exactly_when_they_are_equal(row: list[int], n: int) -> None:
    tokens = np.array(row, np.uint16)
    hashes = ngram_hashes(tokens, n)
    grams = [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]
    assert len(hashes) == len(grams)
    assert len(set(grams)) == len(set(hashes.tolist())) == len(set(zip(grams, hashes, strict=True)))


@given(st.lists(sequences, min_size=1, max_size=6), sequences, st.integers(1, 9))
def test_what_is_found_is_what_a_search_finds(
    rows: list[list[int]], long: list[int], n: int
) -> None:
    ends = np.cumsum([len(row) for row in rows])
    spans = np.stack([ends - [len(row) for row in rows], ends], axis=1)
    texts = Texts(np.array(sum(rows, []), np.int64), spans)  # noqa: RUF017
    text = np.array(long, np.int64)
    overlap = find_overlap(texts, n, stretch_blocks("train", text, n))
    known = [tuple(long[i : i + n]) for i in range(len(long) - n + 1)]
    expected = [
        (number, tuple(row[i : i + n]))
        for number, row in enumerate(rows)
        for i in range(len(row) - n + 1)
    ]
    assert overlap.text_of.tolist() == [number for number, _ in expected]
    assert overlap.matched.tolist() == [gram in known for _, gram in expected]
    for place, (_, gram) in enumerate(expected):
        if gram in known:
            assert overlap.position[place] == known.index(gram), "where it is first"


def test_blocks_hide_no_ngram_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    text = np.random.default_rng(0).integers(0, 250, 5000).astype(np.uint16)
    whole = np.concatenate([b.hashes for b in stretch_blocks("train", text, 7)])
    monkeypatch.setattr(ngrams, "_BLOCK", 64)
    parts = list(stretch_blocks("train", text, 7))
    assert len(parts) > 70
    np.testing.assert_array_equal(np.concatenate([b.hashes for b in parts]), whole)
    assert np.concatenate([b.position for b in parts]).tolist() == list(range(len(whole)))


def test_windows_have_no_ngram_in_common_with_their_neighbours() -> None:
    rows = np.arange(40).reshape(5, 8)
    (block,) = row_blocks("unique windows", rows, 3, first_row=10)
    assert len(block.hashes) == 5 * 6
    assert (block.position % 8 <= 5).all()
    assert block.position[0] == 80


def words(rng: np.random.Generator, n: int) -> str:
    return " ".join("".join(rng.choice(list("abcdefgh"), 6)) for _ in range(n))


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, set[str]]:
    """200 documents, and of every fourth one a near copy: a word in fifteen is another."""
    rng = np.random.default_rng(1)
    originals = [words(rng, 60) for _ in range(200)]
    copies = []
    for text in originals[::4]:
        parts = text.split()
        for place in range(0, 60, 15):
            parts[place] = words(rng, 1)
        copies.append(" ".join(parts))
    path = tmp_path / "planted.txt"
    path.write_text("\n".join(originals + copies) + "\n")
    return path, set(originals[::4]) | set(copies)


def test_planted_near_duplicates_across_the_split_are_found(
    planted: tuple[Path, set[str]], tmp_path: Path
) -> None:
    path, twins = planted
    data = config(path, seq_len=64, unique_tokens=64, validation_tokens=8192)
    prepared = prepare(data, tmp_path / "results")
    text, spans = prepared.held_out(), prepared.held_out_documents()
    held_out = [bytes(text[a : b - 1].astype(np.uint8)).decode() for a, b in spans]
    trained = bytes(prepared.train().astype(np.uint8)).decode()
    tails = {document.split(" ", 1)[1][:80] for document in twins}

    def is_planted(document: str) -> bool:
        """Whether its twin is on the other side: both share what follows the first word."""
        tail = document.split(" ", 1)[1][:80]
        return tail in tails and tail in trained

    expected = sum(map(is_planted, held_out))
    assert 3 < expected < len(held_out) / 2
    blocks = training_blocks(prepared, data, "pool")
    documents, windows = audit_sets(prepared, data, {}, blocks, n=32)
    assert (documents.n, documents.flagged) == (len(held_out), expected)
    assert all(0.5 <= text["overlap"] < 1 for text in documents.worst)
    assert all(is_planted(held_out[text["text"]]) for text in documents.worst)
    assert windows.flagged > 0
    worst = documents.worst[0]
    matched = trained[worst["position"] : worst["position"] + 32]
    assert worst["excerpt"].startswith(matched), "it is where the audit says"
    assert worst["covered_run"] >= 32


def test_clean_text_is_clean(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    path = tmp_path / "clean.txt"
    path.write_text("".join(words(rng, 40) + "\n" for _ in range(200)))
    data = config(path, seq_len=64, unique_tokens=640, validation_tokens=2048)
    prepared = prepare(data, tmp_path / "results")
    for scope in ("pool", "unique"):
        for audited in audit_sets(prepared, data, {}, training_blocks(prepared, data, scope), n=32):
            assert audited.flagged == 0
            assert audited.mean_overlap == 0


def test_only_what_is_trained_on_counts_where_the_unique_windows_are_asked_for(
    planted: tuple[Path, set[str]], tmp_path: Path
) -> None:
    data = config(planted[0], seq_len=64, unique_tokens=64, validation_tokens=8192)
    prepared = prepare(data, tmp_path / "results")
    flagged = {}
    for unique in (64, prepared.train_tokens // 64 * 64):
        budget = data.model_copy(update={"unique_tokens": unique})
        documents, _ = audit_sets(
            prepared, budget, {}, training_blocks(prepared, budget, "unique"), n=16
        )
        flagged[unique] = documents.flagged
    few, many = flagged.values()
    assert few == 0
    assert many > 3


def test_a_second_validation_set_is_audited_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    lines = [words(rng, 30) for _ in range(200)]
    (tmp_path / "main.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "extra.txt").write_text("\n".join(lines[:40]) + "\n")
    extra: list[dict[str, Any]] = [{"name": "copy", "path": str(tmp_path / "extra.txt")}]
    data = config(tmp_path / "main.txt", seq_len=64, validation_tokens=2048, validation_extra=extra)
    prepared = prepare(data, tmp_path / "results")
    (validation_set,) = data.validation_extra or ()
    other = prepare_validation_set(validation_set, data, tmp_path / "results")
    blocks = training_blocks(prepared, data, "pool")
    audits = {s.set: s for s in audit_sets(prepared, data, {"copy": other}, blocks, n=32)}
    assert audits["copy windows"].flagged > audits["copy windows"].n / 2
    assert audits["validation windows"].flagged == 0


def test_the_longest_stretch_in_common_is_measured_to_a_power_of_two() -> None:
    text = np.arange(100)
    rows = np.stack(
        [np.arange(10, 26), np.arange(16) + np.arange(16) % 2 * 500, np.arange(900, 916)]
    )
    rows[1, 4:10] = np.arange(50, 56)
    texts = Texts.of_rows(rows)
    longest = longest_common(texts, lambda n: stretch_blocks("train", text, n))
    assert longest.tolist() == [16, 4, 0]


def test_long_held_out_text_is_sampled_by_whole_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    path = tmp_path / "text.txt"
    path.write_text("".join(words(rng, 20) + "\n" for _ in range(200)))
    prepared = prepare(config(path, seq_len=64, validation_tokens=4096), tmp_path / "results")
    whole = audit.held_out_texts(prepared)
    monkeypatch.setattr(audit, "SAMPLE_TOKENS", 1000)
    sampled = audit.held_out_texts(prepared)
    assert 1 < len(sampled) < len(whole)

    def documents(texts: Texts) -> list[bytes]:
        return [texts.tokens[a:b].tobytes() for a, b in texts.spans]

    assert set(documents(sampled)) < set(documents(whole))
