"""The command that makes text with a trained run."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import TrainedRuns
from workbench.cli import app
from workbench.errors import InputError


def ask(trained: TrainedRuns, objective: str, *arguments: str):
    run = trained[objective].run_id
    command = [
        "sample",
        run,
        "--results",
        str(trained["ar"].path.parent.parent),
        "--device",
        "cpu",
        *arguments,
    ]
    return CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_the_command_gives_text_on_stdout_and_speed_on_stderr(
    trained: TrainedRuns, objective: str
) -> None:
    told = ask(trained, objective, "--prompt", "def ", "--seed", "3")
    assert told.exit_code == 0
    assert told.stdout.startswith("def ")
    assert "tokens a second" in told.stderr
    assert "tokens a second" not in told.stdout
    assert ask(trained, objective, "--prompt", "def ", "--seed", "3").stdout == told.stdout


def test_the_json_has_a_row_a_text(trained: TrainedRuns, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("class ä")
    arguments = ("--prompt-file", str(prompt), "--count", "3", "--steps", "4", "--tokens", "9")
    rows = json.loads(ask(trained, "mdlm", *arguments, "--format", "json").stdout)
    assert [row["sample"] for row in rows] == [0, 1, 2]
    assert {row["prompt"] for row in rows} == {"class ä"}
    assert all(row["tokens"] == 9 or row["ended"] for row in rows)
    assert all(0 < row["passes"] <= 4 for row in rows)
    assert rows[0]["tokens_per_second"] > 0


def test_a_window_is_said(trained: TrainedRuns) -> None:
    told = ask(trained, "ar", "--tokens", "60", "--window", "8")
    assert "made in 3 windows" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sampler", "ancestral"], "the objective ar, which takes ar"),
        (["--sampler", "anc"], "no such sampler"),
        (["--steps", "4"], "--steps has no effect on --sampler ar"),
        (["--prompt", "x" * 32], "fill the model's context of 32"),
        (["--prompt", "a", "--prompt-file", "b"], "give one of them"),
        (["--prompt-file", "nowhere.txt"], "cannot be read"),
        (["--device", "tpu"], "--device tpu: expected auto, cpu or cuda"),
    ],
)
def test_wrong_input_is_said(trained: TrainedRuns, arguments: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ask(trained, "ar", *arguments)
