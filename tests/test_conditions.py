"""Conditions: what is read, what is refused, and which values are the same."""

import pytest

from workbench.conditions import (
    Condition,
    Conditions,
    matching,
    one_of,
    parse_conditions,
)
from workbench.errors import InputError


def parsed(*texts: str) -> Conditions:
    return parse_conditions(texts, "--where")


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("n_params >= 1e6", [("n_params", ">=", 1e6)]),
        ("a=1,b = x", [("a", "=", 1), ("b", "=", "x")]),
        ("a != -2.5 AND b<3", [("a", "!=", -2.5), ("b", "<", 3)]),
        ("model.dropout in (0, 0.1, none)", [("model.dropout", "in", (0, 0.1, None))]),
        ('q in("a, b", c d) and p = true', [("q", "in", ("a, b", "c d")), ("p", "=", True)]),
        ('x = "a and b > c"', [("x", "=", "a and b > c")]),
        ('tasks = ["a", "b"] and brand = 1', [("tasks", "=", ["a", "b"]), ("brand", "=", 1)]),
        ("corpus = /data/x y-z.txt", [("corpus", "=", "/data/x y-z.txt")]),
        ('"my column" = 1', [("my column", "=", 1)]),
        ("inside = in", [("inside", "=", "in")]),
        ("x = NULL", [("x", "=", None)]),
        ('x = "none"', [("x", "=", "none")]),
    ],
)
def test_conditions_are_read_and_what_they_are_written_as_is_read_the_same(
    text: str, conditions: list[tuple[str, str, object]]
) -> None:
    expected = tuple(Condition(*each) for each in conditions)
    assert parsed(text) == expected
    assert parsed(" and ".join(map(str, expected))) == expected
    assert parsed(*map(str, expected)) == expected  # an option given several times


@pytest.mark.parametrize(
    "value", ["a and b", "x, y", 'it is "so"', "none", "12", "true", "", "a = b", "[1]", "(a)"]
)
def test_any_text_is_written_so_that_it_is_read_again(value: str) -> None:
    for condition in (one_of("key", [value]), one_of("key", [value, 1])):
        assert parsed(str(condition)) == (condition,)


@pytest.mark.parametrize(
    "text",
    ["a", "a =", "= 1", "in (1)", "a in 3", "a in (1", "a == 1", "a => 1", "a <> 1", "",
     "a = 1 and", "a = 1 or b = 2", "a = 1; DROP TABLE runs -- )", "a = 1 and and b = 2"],
)  # fmt: skip
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"--where .*expected COLUMN OP VALUE, such as"):
        parsed(text)


ROWS = [{"n": n, "size": size} for n, size in [(1, "a"), (2, "b"), (3, "b"), (None, "c")]]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("n < 2", [1]), ("n <= 2", [1, 2]), ("n > 2", [3]), ("n >= 2", [2, 3]), ("n = 2.0", [2]),
        ("n != 2", [1, 3, None]), ("n in (1, 3)", [1, 3]), ("n = none", [None]),
        ("size > a", [2, 3, None]), ("size = b and n != 3", [2]), ("n in (none, 3)", [3, None]),
    ],
)  # fmt: skip
def test_each_operator_chooses_its_rows(text: str, numbers: list[int | None]) -> None:
    met = matching(ROWS, parsed(text), "rows")
    assert [row["n"] for row, here in zip(ROWS, met, strict=True) if here] == numbers


def test_an_absent_value_is_what_it_stands_for_to_every_operator() -> None:
    for text in ("n = 0", "n < 1", "n <= 0", "n in (0, 9)", "n = none", "n in (none, 9)"):
        assert matching(ROWS, parsed(text), "rows", absent={"n": 0}) == [False] * 3 + [True], text
    assert matching(ROWS, parsed("n != 0"), "rows", absent={"n": 0}) == [True] * 3 + [False]
    with pytest.raises(InputError):
        matching(ROWS, parsed("n = 0"), "rows")


def test_no_conditions_choose_every_row() -> None:
    assert matching(ROWS, (), "rows") == [True] * 4


def test_values_of_different_kinds_are_never_in_an_order() -> None:
    for text in ("n < x", "size < 5", "n < none"):
        with pytest.raises(InputError, match="no row with"):
            matching(ROWS, parsed(text), "rows")


def test_an_unknown_column_is_refused_and_the_near_and_the_useful_ones_named() -> None:
    with pytest.raises(InputError, match=r"no column sise, did you mean 'size'.* differ: n, "):
        matching(ROWS, parsed("sise = b"), "rows")
    with pytest.raises(InputError, match="size is a, b, c"):  # known, though absent from the rows
        matching(ROWS, parsed("size = d and colour = none"), "rows", columns=["colour"])


def test_a_choice_of_no_row_is_refused_with_the_values_that_exist() -> None:
    with pytest.raises(InputError, match=r"no row with n = 7\. n is 1, 2, 3, none\."):
        matching(ROWS, parsed("n = 7"), "rows")
    with pytest.raises(InputError, match=r"n is 2, 3 where .* size is a where the other"):
        matching(ROWS, parsed("n = 1 and size = b"), "rows")
    many = [{"n": n} for n in range(40)]
    with pytest.raises(InputError, match=r"11 and 28 more, up to 39"):
        matching(many, parsed("n > 100"), "rows")
