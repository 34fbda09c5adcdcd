"""`data.validation_documents`: as many held-out documents as asked, never more than half."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.test_preparation import config, documents
from workbench.data.preparation import prepare
from workbench.data.streams import training_stream, validation_windows
from workbench.errors import InputError
from workbench.recipe import DataConfig


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"line number {i} of many\n" for i in range(300)))
    return path


@pytest.mark.parametrize("asked", [20, 100, 150])
def test_at_least_as_many_documents_are_held_out_as_asked(
    asked: int, lines: Path, tmp_path: Path
) -> None:
    prepared = prepare(config(lines, validation_documents=asked), tmp_path / "results")
    held_out, train = documents(prepared.held_out()), documents(prepared.train())
    assert len(held_out) == len(prepared.held_out_documents()) == asked
    assert not set(held_out) & set(train)
    assert len(held_out) + len(train) == 300


def test_more_are_held_out_where_the_tokens_ask_for_it(lines: Path, tmp_path: Path) -> None:
    data = config(lines, validation_documents=2, validation_tokens=1200)
    prepared = prepare(data, tmp_path / "results")
    assert len(prepared.held_out_documents()) > 40
    assert prepared.held_out_tokens >= 1200


def test_fewer_documents_are_among_more(lines: Path, tmp_path: Path) -> None:
    few, many = (
        prepare(config(lines, validation_documents=asked), tmp_path / "results")
        for asked in (60, 120)
    )
    assert set(documents(few.held_out())) < set(documents(many.held_out()))
    assert few.fingerprint != many.fingerprint


def test_without_the_key_the_split_is_what_it_was(lines: Path, tmp_path: Path) -> None:
    plain = prepare(config(lines), tmp_path / "results")
    asked = prepare(config(lines, validation_documents=1), tmp_path / "results")
    assert asked.fingerprint == plain.fingerprint


def test_more_than_half_are_refused_with_the_number_that_fits(lines: Path, tmp_path: Path) -> None:
    message = r"validation_documents = 151: the corpus has 300 distinct.*Ask for 150 or fewer, or"
    with pytest.raises(InputError, match=message):
        prepare(config(lines, validation_documents=151), tmp_path / "results")
    assert prepare(config(lines, validation_documents=150), tmp_path / "results")


def test_a_mixture_holds_out_a_share_of_each_corpus(lines: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.txt"
    small.write_text("".join(f"another text {i * i} there\n" for i in range(40)))

    def mixture(asked: int) -> DataConfig:
        return DataConfig.model_validate(
            {
                "mixture": [{"corpus": str(path), "weight": 1} for path in (lines, small)],
                "document": "line",
                "unique_tokens": 64,
                "seq_len": 8,
                "validation_tokens": 64,
                "validation_documents": asked,
            }
        )

    held_out = documents(prepare(mixture(40), tmp_path / "results").held_out())
    of_small = [text for text in held_out if text.startswith(b"another")]
    assert (len(of_small), len(held_out)) == (20, 40)
    with pytest.raises(InputError, match=r"small\.txt.*has 40 distinct.*Ask for 40 or fewer"):
        prepare(mixture(42), tmp_path / "results")


def test_windows_are_the_same_for_every_data_seed_and_budget(lines: Path, tmp_path: Path) -> None:
    """Budgets of one seed nest; another seed draws other training windows and no others to
    validate on."""
    prepared = prepare(config(lines, validation_documents=100), tmp_path / "results")

    def unique(seed: int, tokens: int) -> set[tuple[int, ...]]:
        data = config(lines, seed=seed, unique_tokens=tokens)
        stream = training_stream(prepared, data, order_seed=0)
        return set(map(tuple, stream.batch(0, tokens // 8).tokens))

    assert unique(1, 400) < unique(1, 800)
    assert not unique(1, 400) <= unique(2, 800)
    windows = [
        validation_windows(prepared, config(lines, seed=seed, unique_tokens=tokens))
        for seed, tokens in ((0, 64), (1, 64), (0, 640))
    ]
    for other in windows[1:]:
        np.testing.assert_array_equal(other.tokens_NL, windows[0].tokens_NL)
        np.testing.assert_array_equal(other.weight_N, windows[0].weight_N)


def test_windows_spread_over_the_held_out_documents(lines: Path, tmp_path: Path) -> None:
    data = config(lines, validation_documents=150, validation_tokens=1200)
    windows = validation_windows(prepare(data, tmp_path / "results"), data)
    assert len(windows) == 150
    assert len(np.unique(windows.document_N)) > 80
