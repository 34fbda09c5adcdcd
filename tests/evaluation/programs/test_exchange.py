"""What passes between a program and its tests: plain values, whoever wrote the line."""

import json
import math
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.evaluation.programs.exchange import NotPlain, decode, encode

PLAIN = (bool, int, float, str, bytes, bytearray, complex, range, list, tuple, set, frozenset, dict)
PLAIN_TYPES = {*PLAIN, type(None), Fraction, Decimal, type({}.keys()), type(iter([]))}

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.complex_numbers() | st.integers(0, 2**200) | st.fractions() | st.decimals(allow_nan=False)
)  # fmt: skip
hashable = st.recursive(
    scalars, lambda each: st.tuples(each, each) | st.frozensets(each, max_size=3), max_leaves=5
)
values = st.recursive(
    scalars | st.sets(hashable, max_size=3),
    lambda each: (
        st.lists(each, max_size=4)
        | st.tuples(each, each)
        | st.dictionaries(hashable, each, max_size=3)
    ),
    max_leaves=12,
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.sampled_from(["int", "dict", "set", "keys", "range", "bytes", "Fraction", "__class__"]),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(), each, max_size=2),
    max_leaves=12,
)  # fmt: skip


def over_the_wire(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


def written(value: Any) -> str:
    """A value as text, sets in one order: what is not a number equals nothing, not even itself."""
    if isinstance(value, dict):
        return f"dict{[(written(key), written(own)) for key, own in value.items()]}"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{sorted(map(written, value))}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{list(map(written, value))}"
    return repr(value)


def types_in(value: Any) -> set[type]:
    inside = value.items() if isinstance(value, dict) else value
    nested = (
        set().union(*map(types_in, list(inside)))
        if isinstance(value, list | tuple | set | frozenset | dict) and inside
        else set()
    )
    return {type(value), *nested}


@settings(max_examples=60)
@given(values)
def test_a_plain_value_arrives_as_it_was(value: Any) -> None:
    arrived = over_the_wire(value)
    assert written(arrived) == written(value) or arrived == value
    assert types_in(arrived) == types_in(value)


@settings(max_examples=60)
@given(documents)
def test_whatever_is_sent_only_built_in_types_arrive(document: Any) -> None:
    try:
        arrived = decode(document)
    except Exception:
        return
    assert types_in(arrived) <= PLAIN_TYPES


def test_subclasses_arrive_as_what_they_equal() -> None:
    class Colour(IntEnum):
        red = 3

    class Name(StrEnum):
        ada = "ada"

    class Pair(NamedTuple):
        x: int
        y: int

    class Yes(str):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    for value, plain in (
        (Colour.red, 3), (Name.ada, "ada"), (Counter("aab"), {"a": 2, "b": 1}), (Yes("no"), "no"),
        (OrderedDict(a=1), {"a": 1}), (defaultdict(int, a=1), {"a": 1}),
        (Pair(1, 2), (1, 2)), (np.float64(0.5), 0.5), (np.int32(7), 7),
        (np.bool_(True), True), ({1: 2}.items(), {1: 2}.items()), (range(1, 9, 2), range(1, 9, 2)),
    ):  # fmt: skip
        arrived = over_the_wire(value)
        assert arrived == plain
        assert type(arrived) in PLAIN_TYPES
    assert list(over_the_wire(n * n for n in range(4))) == [0, 1, 4, 9]
    assert math.copysign(1, over_the_wire(-0.0)) == -1
    assert over_the_wire(10**9999) == 10**9999, "beyond the digits that Python prints"


@pytest.mark.parametrize("value", [object(), len, int, np.arange(3), [lambda: 0], {"a": ...}])
def test_what_is_not_plain_is_refused(value: Any) -> None:
    with pytest.raises(NotPlain):
        encode(value)
