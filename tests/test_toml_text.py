"""Values as people write them: what nothing could hold is refused, and cutting is linear."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import RECIPE
from workbench.conditions import parse_conditions
from workbench.errors import InputError
from workbench.messages import pairs
from workbench.recipe import load_recipe
from workbench.toml_text import MOST_BYTES, split_outside, toml_value

AT_ONCE_S = 2.0  # of this process, however busy the machine is
HOSTILE = {
    "an integer of 4,000 digits": "9" * 4_000,
    "an integer of 5,000 digits": "-" + "9" * 5_000,
    "a hexadecimal one of 4,000": "0x" + "f" * 4_000,
    "64 bits and one more": str(2**63),
    "a list 50,000 deep": "[" * 50_000 + "]" * 50_000,
    "a list 40 deep": "[" * 40 + "]" * 40,
    "a table 500 deep": "{a = " * 500 + "1" + "}" * 500,
    "a key of 50,000 parts": "{" + ".".join("a" * 50_000) + " = 1}",
    "a key of 20,000 quoted parts": "{" + ".".join(['"a b"'] * 20_000) + " = 1}",
}


def refused_at_once(act: Callable[[], object]) -> str:
    began = time.process_time()
    with pytest.raises(InputError) as refusal:
        act()
    assert time.process_time() - began < AT_ONCE_S
    return str(refusal.value)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_what_no_key_can_hold_is_refused_in_files_options_and_conditions(
    value: str, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.toml"
    path.write_text(RECIPE.replace("{corpus}", "text.txt").replace("6_144", value))
    assert str(path) in refused_at_once(lambda: load_recipe(path))
    path.write_text(RECIPE.replace("{corpus}", "text.txt"))
    option = f"training.total_tokens={value}"
    assert "--set training" in refused_at_once(lambda: load_recipe(path, [option]))
    refused_at_once(lambda: parse_conditions([f"x = {value}"], "--where"))


def test_long_names_and_files_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    path = tmp_path / "hostile.toml"
    path.write_text("[" + ".".join("a" * 50_000) + "]")
    assert "deep" in refused_at_once(lambda: load_recipe(path))
    path.write_text("[study]\n" + "# a comment\n" * (MOST_BYTES // 10))
    assert "MiB" in refused_at_once(lambda: load_recipe(path))
    assert "MiB" in refused_at_once(lambda: load_recipe("/dev/zero"))
    path.write_text(RECIPE.replace("{corpus}", "text.txt"))
    option = "training." + ".".join("a" * 50_000) + "=1"
    assert "deep" in refused_at_once(lambda: load_recipe(path, [option]))


def test_a_sweep_of_a_billion_is_counted_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "wide.toml"
    path.write_text(RECIPE.replace("{corpus}", "text.txt"))
    thousand = list(range(1, 1001))
    keys = ("data.seed", "training.seed", "evaluation.points")
    options = [f"sweep.{key}={thousand}" for key in keys]
    message = refused_at_once(lambda: load_recipe(path, options))
    assert "2,000,000,000 combinations" in message
    assert "data.seed has 1,000" in message


def test_values_of_ordinary_size_are_read_as_before() -> None:
    for text, value in (("9223372036854775807", 2**63 - 1), ("word", "word"), ("[[1], [2]]", None)):
        assert toml_value(text, "x") == ([[1], [2]] if value is None else value)
    dots = ". ".join(["a sentence of words"] * 50)
    assert toml_value(f'"{dots}"', "x") == dots


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a, b", ["a", "b"]),
        ('a = "x, y", b', ['a = "x, y"', "b"]),
        ('"a\\", b", c', ['"a\\", b"', "c"]),
        ("it's, so", ["it's", "so"]),
        ("[a, (b, c], d", ["[a, (b, c]", "d"]),
        ("(a, b", ["(a", "b"]),
        ("", [""]),
    ],
)
def test_pieces_are_cut_outside_quotes_and_brackets(text: str, pieces: list[str]) -> None:
    assert split_outside(text, ",") == pieces


@pytest.mark.parametrize(
    "part", ['"', "'", '\\"', "(", ")", "[", "]", " ", ",", '"a"', " and", " in (", "a=", "\t"]
)
def test_cutting_is_linear_whatever_is_repeated(part: str) -> None:
    text = "x in (" + part * (60_000 // len(part))
    began = time.process_time()
    for act in (
        lambda: parse_conditions([text], "--where"),
        lambda: parse_conditions([text + ")"], "--where"),
        lambda: pairs("--column", ["a=" + text]),
    ):
        try:
            act()
        except InputError:
            continue
    assert time.process_time() - began < 3 * AT_ONCE_S
