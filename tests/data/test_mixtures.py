"""Mixtures and annealing sets: shares follow weights, budgets nest, nothing is read out of turn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import RECIPE
from tests.data.test_preparation import documents
from workbench.data.preparation import prepare
from workbench.data.prepared import unique_windows
from workbench.data.streams import anneal_start, training_stream, validation_windows
from workbench.errors import InputError
from workbench.planning.plan import plan_study
from workbench.recipe import DataConfig, RunConfig, load_recipe
from workbench.recipe.mixture_shares import apportion

weights = st.lists(st.integers(1, 30), min_size=1, max_size=5)


@given(weights, st.integers(0, 200))
def test_shares_are_met_within_a_window_and_never_fall(whole: list[int], n: int) -> None:
    now, with_one_more = apportion(n, whole), apportion(n + 1, whole)
    assert sum(now) == n
    exact = [n * weight / sum(whole) for weight in whole]
    assert all(abs(count - share) < 1 for count, share in zip(now, exact, strict=True))
    assert all(a <= b for a, b in zip(now, with_one_more, strict=True))


def test_weights_are_read_as_decimals() -> None:
    assert apportion(10**12, [0.7, 0.2, 0.1]) == [7 * 10**11, 2 * 10**11, 10**11]
    assert apportion(10, [0.7, 0.3]) == apportion(10, [7, 3]) == apportion(10, [21, 9])


def write(path: Path, letter: str, count: int = 300) -> Path:
    path.write_text("".join(f"{letter}{letter} {i * i}\n" for i in range(count)))
    return path


def mixture(tmp_path: Path, shares: dict[str, float], unique: int = 640, **keys: Any) -> DataConfig:
    tables = [
        {"corpus": str(write(tmp_path / f"{letter}.txt", letter)), "weight": weight}
        for letter, weight in shares.items()
    ]
    return DataConfig(
        mixture=tables, document="line", unique_tokens=unique, seq_len=8, validation_tokens=96,
        **keys,
    )  # fmt: skip


@given(st.integers(10, 60), st.sampled_from([(1, 1, 1), (3, 1, 2), (0.5, 0.3, 0.2)]))
@settings(max_examples=10, deadline=None)
def test_every_epoch_reads_every_window_of_every_corpus_once(n: int, shares: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        data = mixture(path, dict(zip("xyz", shares, strict=True)), unique=8 * n)
        prepared = prepare(data, path)
        stream = training_stream(prepared, data, order_seed=1)
        counts = unique_windows(data)
        assert list(counts) == ["train", "train-1", "train-2"]
        assert stream.n_windows == n == sum(counts.values())
        for epoch in (0, 3):
            batch = stream.batch(epoch * n, n)
            assert sorted(batch.sample) == list(range(n))
        text = [prepared.train(part) for part in counts]
        ends = np.cumsum(list(counts.values()))
        for sample, tokens in zip(batch.sample, batch.tokens, strict=True):
            home = text[int(np.searchsorted(ends, sample, side="right"))]
            rows = home[: len(home) // 8 * 8].reshape(-1, 8)
            assert (rows == tokens).all(axis=1).any(), "a window is of the corpus it counts for"


def test_budgets_nest_within_each_corpus(tmp_path: Path) -> None:
    sets = []
    for unique in (160, 400, 640):
        data = mixture(tmp_path, {"x": 2, "y": 1, "z": 4}, unique)
        stream = training_stream(prepare(data, tmp_path / "r"), data, order_seed=0)
        sets.append(set(map(tuple, stream.batch(0, stream.n_windows).tokens)))
    assert sets[0] < sets[1] < sets[2]


def test_weights_change_neither_shards_nor_validation(tmp_path: Path) -> None:
    even, weighted = (
        prepare(mixture(tmp_path, {"x": w, "y": 1}), tmp_path / "results") for w in (1, 5)
    )
    assert even == weighted
    data = mixture(tmp_path, {"x": 1, "y": 3})
    write(tmp_path / "x.txt", "x", 6000)
    uneven = prepare(data, tmp_path / "results")
    windows = validation_windows(uneven, data)
    of_x = (windows.tokens_NL == ord("x")).any(axis=1)
    assert (of_x.sum(), len(windows)) == (6, 12), "each corpus counts the same, however large"
    assert windows.weight_N[of_x].sum() == pytest.approx(windows.weight_N[~of_x].sum())
    sizes = [len(section) for section in uneven.held_out_sections()]
    assert sizes[0] > 4 * sizes[1]


def test_a_document_is_in_one_corpus_only(tmp_path: Path) -> None:
    data = mixture(tmp_path, {"x": 1, "y": 1})
    text = (tmp_path / "x.txt").read_text() + (tmp_path / "y.txt").read_text()[:400]
    (tmp_path / "x.txt").write_text(text)
    prepared = prepare(data, tmp_path / "results")
    first, second = (set(documents(prepared.train(part))) for part in ("train", "train-1"))
    held_out = set(documents(prepared.held_out()))
    assert not first & second
    assert not held_out & (first | second)
    assert prepared.manifest["duplicates_removed"] > 20


def test_a_mixture_of_too_little_text_names_the_corpus(tmp_path: Path) -> None:
    data = mixture(tmp_path, {"x": 1, "y": 20}, unique=3200)
    prepared = prepare(data, tmp_path / "results")
    with pytest.raises(InputError, match=r"y\.txt.*weight 20"):
        prepared.check(data)


def annealed(tmp_path: Path, corpus: Path, *overrides: str) -> RunConfig:
    other = tmp_path / "other.txt"
    other.write_text("\n\n".join("#" * (i % 50 + 20) + str(i) for i in range(100)))
    path = tmp_path / "r.toml"
    path.write_text(
        RECIPE.format(corpus=corpus).replace(
            "[model]", f'[data.anneal]\ncorpus = "{other}"\nunique_tokens = 256\n\n[model]'
        )
    )
    return load_recipe(path, ["training.objective=ar", *overrides]).runs[0]


@pytest.mark.parametrize(
    "keys", [(), ("training.decay_fraction=0.4",), ("data.anneal.fraction=0.3",)]
)
def test_annealing_windows_are_read_in_the_last_steps_and_never_before(
    keys: tuple[str, ...], tmp_path: Path, corpus: Path
) -> None:
    run = annealed(tmp_path, corpus, *keys)
    first = anneal_start(run)
    expected = {(): 1, ("training.decay_fraction=0.4",): 5, ("data.anneal.fraction=0.3",): 4}[keys]
    assert first == run.steps - expected
    prepared = prepare(run.data, tmp_path)
    size = run.training.batch_size
    stream = training_stream(prepared, run.data, order_seed=0, anneal_from=first * size)
    plain = training_stream(prepared, run.data, order_seed=0)
    for step in range(run.steps):
        tokens = stream.batch(step * size, size).tokens
        is_annealing = (tokens == ord("#")).any(axis=1)
        assert is_annealing.all() if step >= first else not is_annealing.any()
        if step < first:
            np.testing.assert_array_equal(tokens, plain.batch(step * size, size).tokens)


@given(st.integers(0, 100), st.integers(1, 60), st.integers(0, 120))
@settings(max_examples=60, deadline=None)
def test_any_slice_of_an_annealed_stream_is_the_stream(start: int, count: int, first: int) -> None:
    from workbench.data.streams import AnnealedStream
    from workbench.data.windows import WindowStream

    text = np.arange(800, dtype=np.uint16)
    main, late = (
        WindowStream(t, seq_len=8, unique_tokens=n * 8, data_seed=0, order_seed=2)
        for t, n in ((text, 30), (text + 1000, 7))
    )
    stream = AnnealedStream(main, late, first_sample=first)
    whole = stream.batch(0, start + count)
    part = stream.batch(start, count)
    np.testing.assert_array_equal(part.tokens, whole.tokens[start:])
    np.testing.assert_array_equal(part.sample, whole.sample[start:])
    np.testing.assert_array_equal(part.epoch, whole.epoch[start:])
    late_samples = whole.sample[first:]
    assert (late_samples >= 30).all(), "its noise is shared with no other window's"
    epoch = stream.batch(first, 7)
    assert sorted(epoch.sample) == list(range(30, 37)), "each of its epochs reads all its windows"


def test_the_annealing_set_is_separate_text(tmp_path: Path, corpus: Path) -> None:
    run = annealed(tmp_path, corpus)
    other = tmp_path / "other.txt"
    other.write_text(other.read_text() + "\n\n" + corpus.read_text())
    prepared = prepare(run.data, tmp_path)
    late = set(documents(prepared.train("anneal")))
    assert not late & set(documents(prepared.train()) + documents(prepared.held_out()))
    assert late
    anneal = run.data.anneal.model_copy(update={"unique_tokens": 99_968})
    too_large = run.data.model_copy(update={"anneal": anneal})
    with pytest.raises(InputError, match=r"data\.anneal\.unique_tokens = 99968"):
        prepared.check(too_large)


def test_a_plan_shows_tiers_mixtures_and_annealing(tmp_path: Path, corpus: Path) -> None:
    run = annealed(tmp_path, corpus)
    path = tmp_path / "r.toml"
    (spec, _) = plan_study(load_recipe(path), tmp_path).runs
    row = spec.row()
    assert row["anneal"]["first_step"] == run.steps
    assert row["anneal"]["epochs"] == 512 / 256
    assert spec.derived()["anneal"] == row["anneal"]
