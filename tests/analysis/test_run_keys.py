"""Which keys differ, which follow from others, and which distinguish configurations."""

import pytest

from workbench.analysis.run_keys import (
    UNIQUE,
    differing_keys,
    distinguishing_keys,
    following_keys,
    identity,
    order_of,
)

LR, WARMUP = "training.lr", "training.warmup_steps"


def test_an_identity_is_that_of_the_keys_whatever_their_order_and_without_unknown_ones() -> None:
    assert identity({"a": 1, "b": [2]}) == identity({"b": [2], "c": None, "a": 1})
    assert identity({"a": 1}) != identity({"a": 2})
    assert identity({"a": 0}) != identity({}), "a value that is false is one all the same"


def test_keys_differ_where_a_value_does_or_is_missing_but_those_that_are_always_named() -> None:
    groups = [
        {"equal": 1, "lr": 1, UNIQUE: 5, "n_params": 1},
        {"equal": 1, "lr": 2, UNIQUE: 6, "n_params": 2, "own": 0},
    ]
    assert differing_keys(groups) == ["lr", "own"]


def follow(first: list[object], then: list[object]) -> bool:
    groups = [{"first": one, "then": other} for one, other in zip(first, then, strict=True)]
    return following_keys(groups, "first") == ["then"]


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], True),
        ([1, 2, 3], [10, 10, 30], True),  # several values may give the same one
        ([1, 2, 1, 2], [10, 20, 10, 20], True),
        ([1, 1, 2], [10, 20, 30], False),  # one value gives two
        ([1, 2, 3], [10, 10, 10], False),  # does not vary
        ([1, 1, 1], [10, 20, 30], False),
        ([1, 1, 1], [10, 10, 10], False),
        ([1, 2], ["a", None], True),
    ],
)
def test_a_key_follows_where_it_is_a_function_of_the_other_and_varies(
    first: list[object], then: list[object], expected: bool
) -> None:
    assert follow(first, then) is expected


def test_of_keys_that_follow_each_other_the_first_distinguishes_and_a_default_comes_last() -> None:
    runs = [{LR: lr, WARMUP: warmup} for lr, warmup in ((1, 10), (2, 20))]
    assert distinguishing_keys(runs) == [LR]
    runs = [{"training.zeta": z, WARMUP: warmup} for z, warmup in ((1, 10), (2, 20))]
    assert distinguishing_keys(runs) == ["training.zeta"], "although its name comes later"
    runs = [{LR: lr, WARMUP: warmup} for lr, warmup in ((1, 10), (1, 20), (2, 20))]
    assert distinguishing_keys(runs) == [LR, WARMUP]


def test_unique_tokens_come_first_then_parameters_then_protocol_then_other_keys() -> None:
    runs = [
        {UNIQUE: a, "n_params": b, "protocol": c, "data.seq_len": d, LR: d}
        for a in (1, 2) for b in (1, 2) for c in (1, 2) for d in (1, 2)
    ]  # fmt: skip
    assert distinguishing_keys(runs) == [UNIQUE, "n_params", "protocol", "data.seq_len"]


def test_neither_objective_nor_a_sizes_name_nor_an_equal_key_distinguishes() -> None:
    names = {"training.objective": ("ar", "mdlm"), "model.size": ("1M", "2M"), LR: (1, 1)}
    runs = [{key: values[i] for key, values in names.items()} for i in (0, 1)]
    assert distinguishing_keys(runs) == []


def test_a_missing_key_differs_from_a_value_but_for_the_numbers_of_a_plug_in() -> None:
    """Those are no keys of the other objective's runs; among its own they distinguish."""
    own, plugin = "labels.name", "plugins.objectives.extra"
    assert distinguishing_keys([{LR: 1, own: "a"}, {LR: 1}]) == [own]
    assert distinguishing_keys([{LR: 1, plugin: 1}, {LR: 1}]) == []
    assert distinguishing_keys([{LR: 1, plugin: 1}, {LR: 1}, {LR: 1, plugin: 2}]) == [plugin]


def test_groups_are_in_the_order_of_parameters_then_of_unique_tokens_and_unknown_ones_first() -> (
    None
):
    expected = [(None, 9), (1, None), (1, 5), (1, 10), (2, 1), (10, 1)]
    groups = [{"n_params": n, "unique_tokens": unique} for n, unique in expected]
    groups += [{"n_params": 11, "unique_tokens": 1, "lr": lr} for lr in (1, 2)]
    places = [order_of(group) for group in groups]
    assert places == sorted(places)
