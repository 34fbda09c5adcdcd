"""Windows: shuffles are bijections, budgets nest, each epoch reads every window once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.windows import ValidationWindows, WindowStream, permuted

TEXT = np.arange(4000, dtype=np.uint16)
seeds = st.integers(0, 2**63 - 1)


def stream(unique: int = 640, *, seq_len: int = 8, data: int = 0, order: int = 0) -> WindowStream:
    return WindowStream(
        TEXT, seq_len=seq_len, unique_tokens=unique, data_seed=data, order_seed=order
    )


@given(st.integers(1, 3000), seeds)
def test_a_shuffle_is_a_bijection(n: int, key: int) -> None:
    assert sorted(permuted(np.arange(n), n, (key,))) == list(range(n))


@given(st.integers(2, 2**40), seeds, st.data())
def test_a_place_does_not_depend_on_which_others_are_asked_for(
    n: int, key: int, data: st.DataObject
) -> None:
    index = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20)))
    together = permuted(index, n, (key, 1))
    alone = [permuted(np.array([i]), n, (key, 1))[0] for i in index]
    assert together.tolist() == alone
    assert ((together >= 0) & (together < n)).all()


def test_a_shuffle_sends_each_index_everywhere_about_equally_often() -> None:
    n, keys = 10, 4000
    places = np.array([permuted(np.arange(n), n, (key,)) for key in range(keys)])
    counts = np.array([np.bincount(places[:, i], minlength=n) for i in range(n)])
    chi_square = ((counts - keys / n) ** 2 / (keys / n)).sum()
    assert chi_square < 160  # 81 degrees of freedom: the 0.0001 % point is 155


@given(seeds, st.integers(1, 60), st.integers(1, 60))
def test_a_smaller_budget_is_a_subset_of_a_larger_one(seed: int, a: int, b: int) -> None:
    small, large = sorted((a, b))
    few = stream(small * 8, data=seed).batch(0, small).tokens
    many = stream(large * 8, data=seed).batch(0, large).tokens
    assert set(map(tuple, few)) <= set(map(tuple, many))


@given(seeds, st.integers(1, 80))
@settings(max_examples=30)
def test_every_epoch_reads_every_window_once_in_another_order(seed: int, windows: int) -> None:
    source = stream(windows * 8, order=seed)
    epochs = [source.batch(i * windows, windows) for i in range(3)]
    for number, epoch in enumerate(epochs):
        assert sorted(epoch.sample) == list(range(windows))
        assert set(epoch.epoch) == {number}
    if windows > 20:
        assert epochs[0].sample.tolist() != epochs[1].sample.tolist()


def test_the_order_seed_changes_the_order_and_not_the_windows() -> None:
    first, reordered = stream(order=0).batch(0, 80), stream(order=1).batch(0, 80)
    assert first.sample.tolist() != reordered.sample.tolist()
    assert set(map(tuple, first.tokens)) == set(map(tuple, reordered.tokens))
    third = stream(data=1).batch(0, 80)
    assert set(map(tuple, first.tokens)) != set(map(tuple, third.tokens))


@given(st.integers(0, 500), st.integers(1, 50))
def test_slices_of_a_batch_are_the_batch(start: int, count: int) -> None:
    whole = stream().batch(start, 2 * count)
    first, second = stream().batch(start, count), stream().batch(start + count, count)
    np.testing.assert_array_equal(whole.tokens, np.concatenate([first.tokens, second.tokens]))
    np.testing.assert_array_equal(whole.epoch, np.concatenate([first.epoch, second.epoch]))


def test_a_budget_beyond_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="501 unique windows out of a text of 500"):
        stream(4008)


def test_validation_windows_are_distinct_and_at_most_all() -> None:
    windows = ValidationWindows(TEXT, seq_len=8, n_tokens=800).tokens
    assert windows.shape == (100, 8)
    assert len(set(map(tuple, windows))) == 100
    assert (windows[:, 0] % 8 == 0).all()
    assert ValidationWindows(TEXT, seq_len=8, n_tokens=10**9).tokens.shape == (500, 8)
