"""Windows: shuffles are bijections, budgets nest, each epoch reads every window once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.windows import HeldOutWindows, WindowStream, permuted

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


def drawn(lengths: list[int], n_tokens: int, *, seq_len: int = 8) -> HeldOutWindows:
    """Windows of documents of these lengths, in a text whose tokens are their places."""
    ends = np.cumsum(lengths)
    spans = np.stack([ends - lengths, ends], axis=1)
    text = np.arange(ends[-1], dtype=np.uint16)
    return HeldOutWindows.draw(text, spans, seq_len=seq_len, n_tokens=n_tokens)


document_lengths = st.lists(st.integers(1, 400), min_size=1, max_size=30).filter(
    lambda lengths: sum(lengths) >= 8
)


@given(document_lengths, st.integers(8, 4000))
def test_validation_windows_are_distinct_and_as_many_as_asked(
    lengths: list[int], n_tokens: int
) -> None:
    windows = drawn(lengths, n_tokens)
    assert windows.tokens_NL.shape == (min(n_tokens // 8, sum(lengths) // 8), 8)
    assert len(set(map(tuple, windows.tokens_NL))) == len(windows)
    assert (windows.tokens_NL[:, 0] % 8 == 0).all()
    assert (np.diff(windows.tokens_NL, axis=1) == 1).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_validation_windows_stay_in_the_type_that_the_shards_store(dtype: type) -> None:
    spans = np.array([[0, 320]])
    windows = HeldOutWindows.draw(np.arange(320, dtype=dtype), spans, seq_len=8, n_tokens=160)
    assert windows.tokens_NL.dtype == dtype
    assert HeldOutWindows.joined([windows, windows]).tokens_NL.dtype == dtype


@given(document_lengths, st.integers(8, 4000))
def test_a_window_is_counted_to_the_document_of_its_middle(
    lengths: list[int], n_tokens: int
) -> None:
    windows = drawn(lengths, n_tokens)
    of_token = np.repeat(np.arange(len(lengths)), lengths)
    assert windows.document_N.tolist() == of_token[windows.tokens_NL[:, 4]].tolist()


@given(document_lengths, st.integers(8, 4000))
def test_a_document_gives_at_most_six_times_an_equal_share_while_others_have_windows(
    lengths: list[int], n_tokens: int
) -> None:
    windows, every = drawn(lengths, n_tokens), drawn(lengths, 10**9)
    cap = -(-6 * len(windows) // len(np.unique(every.document_N)))
    taken = np.bincount(windows.document_N, minlength=len(lengths))
    available = np.bincount(every.document_N, minlength=len(lengths))
    if (taken > cap).any():
        assert (taken >= np.minimum(available, cap)).all(), "others had windows left"


def test_a_document_of_half_the_text_gives_its_cap_and_weighs_its_half() -> None:
    """Of 100 windows that a plain draw would take, about half lie in the long document."""
    windows = drawn([8 * 1000] + [8 * 50] * 20, 8 * 100)
    taken = np.bincount(windows.document_N, minlength=21)
    assert taken[0] == -(-6 * 100 // 21), "21 documents: 29 windows"
    assert (windows.weight_N[windows.document_N > 0] == 1).all()
    share = windows.weight_N[windows.document_N == 0].sum() / windows.weight_N.sum()
    assert share == pytest.approx(0.5, abs=0.1)


@given(document_lengths)
def test_all_windows_weigh_one(lengths: list[int]) -> None:
    assert (drawn(lengths, 10**9).weight_N == 1).all()


def test_the_weighted_mean_over_windows_is_the_mean_over_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A document's windows have one value. Over many shuffles the weighted mean is right, and the
    plain one is far too near to the short documents."""
    lengths = [8 * 400] * 2 + [8 * 20] * 30
    value = np.array([1.0] * 2 + [0.0] * 30)
    weighted, plain = [], []
    for key in range(300):
        monkeypatch.setattr("workbench.data.windows._VALIDATION", 1000 + key)
        windows = drawn(lengths, 8 * 60)
        weighted.append(np.average(value[windows.document_N], weights=windows.weight_N))
        plain.append(value[windows.document_N].mean())
    assert np.mean(weighted) == pytest.approx(800 / 1400, abs=0.015)
    assert np.mean(plain) < 800 / 1400 - 0.1


def test_windows_of_the_same_text_are_the_same() -> None:
    first, again = drawn([300] * 12, 800), drawn([300] * 12, 800)
    for name in ("tokens_NL", "document_N", "weight_N"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@given(st.integers(1, 40), st.integers(1, 40))
def test_fewer_windows_are_the_first_of_more_where_no_document_reaches_its_cap(
    a: int, b: int
) -> None:
    few, many = sorted((a, b))
    short = [30] * 40  # hardly four windows each
    np.testing.assert_array_equal(
        drawn(short, few * 8).tokens_NL, drawn(short, many * 8).tokens_NL[:few]
    )


def test_corpora_that_are_joined_count_the_same() -> None:
    ends = np.array([800, 880, 960])
    spans = np.stack([np.array([0, 800, 880]), ends], axis=1)
    text = np.arange(960, dtype=np.uint16)
    parts = [
        HeldOutWindows.draw(text[:800], spans, seq_len=8, n_tokens=400),
        HeldOutWindows.draw(text[800:], spans, seq_len=8, n_tokens=80, first_token=800),
    ]
    both = HeldOutWindows.joined(parts)
    assert len(both) == 60
    assert set(both.document_N[50:]) == {1, 2}, "numbered as in the whole text"
    assert both.weight_N[:50].sum() == pytest.approx(both.weight_N[50:].sum())
