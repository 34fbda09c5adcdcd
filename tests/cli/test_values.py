"""How options are read: whole numbers, closed sets, what is near."""

from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from workbench.cli import app
from workbench.errors import InputError
from workbench.messages import size_label, whole_number


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found += commands(command, (*path, name)) if inner else [((*path, name), command)]
    return found


COMMANDS = commands(typer.main.get_command(app))


def of_kind(kind: type) -> list[tuple[tuple[str, ...], str]]:
    return [
        (path, parameter.opts[0])
        for path, command in COMMANDS
        for parameter in command.params
        if parameter.type_descriptor.annotation is kind and parameter.param_type_name == "option"
    ]


def refusal(*arguments: str) -> str:
    with pytest.raises(InputError) as refused:
        CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2e9", 2_000_000_000), ("1.5e3", 1500), ("1_000", 1000), ("7", 7), ("1e18", 10**18),
     ("1.5", None), ("1e-3", None), ("1e19", None), ("1e999999999", None), ("nan", None),
     ("many", None), ("", None)],
)  # fmt: skip
def test_a_whole_number_is_exactly_what_was_written_or_none(text: str, value: int | None) -> None:
    assert whole_number(text) == value


@pytest.mark.parametrize(("path", "option"), of_kind(int))
def test_every_option_with_a_whole_number_says_what_it_expects(
    path: tuple[str, ...], option: str
) -> None:
    assert f"{option} 2.5: expected a " in refusal(*path, option, "2.5")


def test_options_of_whole_numbers_take_powers_of_ten_within_their_limits() -> None:
    done = CliRunner().invoke(app, ["flops", "--size", "1B", "--seq-len", "1e3"])
    plain = CliRunner().invoke(app, ["flops", "--size", "1B", "--seq-len", "1000"])
    assert done.exit_code == 0
    assert done.stdout == plain.stdout
    assert "1 or more and 65,535 or less" in refusal("app", "--port", "1e5")


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["crossover", "x", "--axis", "tokns"], "'tokens'"),
        (["status", "--format", "jsn"], "'json'"),
        (["run", "quickstart", "--launcher", "slrum"], "'slurm'"),
        (["next", "x", "--for", "laws"], "'law'"),
        (["audit", "quickstart", "--scope", "unqiue"], "'unique'"),
        (["export", "model", "x", "--out", "y", "--dtype", "float23"], "'float32'"),
        (["fit", "--law", "chinchila", "--table", "x"], "'chinchilla'"),
        (["flops", "--size", "1b"], "'1B'"),
        (["plan", "quickstart", "--gpu", "h10"], "'h100'"),
        (["plan", "quikstart"], "'quickstart'"),
    ],
)
def test_a_word_that_is_near_one_of_a_closed_set_is_answered_with_it(
    arguments: list[str], near: str
) -> None:
    assert f"did you mean {near}?" in refusal(*arguments)


@pytest.mark.parametrize(
    ("count", "text"),
    [(7, "7"), (999, "999"), (32_000, "32k"), (181_440, "181k"), (999_999, "1M"),
     (1_230_000, "1.23M"), (8e9, "8B"), (1.5e12, "1.5T")],
)  # fmt: skip
def test_a_size_of_any_kind_has_a_label_that_is_not_zero(count: float, text: str) -> None:
    assert size_label(count) == text
