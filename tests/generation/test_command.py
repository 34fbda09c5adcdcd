"""The command that makes text with a trained run."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import TrainedRuns
from workbench.cli import app
from workbench.errors import InputError
from workbench.generation.samplers import samplers_of
from workbench.recipe import OBJECTIVES


def ask(trained: TrainedRuns, objective: str, *arguments: str):
    run = trained[objective].run_id
    command = [
        "sample",
        run,
        "--results",
        str(trained["ar"].results),
        "--device",
        "cpu",
        *arguments,
    ]
    return CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_command_gives_text_on_stdout_and_speed_on_stderr(
    trained: TrainedRuns, objective: str
) -> None:
    done = ask(trained, objective, "--prompt", "def ", "--seed", "3")
    assert done.exit_code == 0
    assert done.stdout.startswith("def ")
    assert "tokens a second" in done.stderr
    assert "tokens a second" not in done.stdout
    assert ask(trained, objective, "--prompt", "def ", "--seed", "3").stdout == done.stdout


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


def test_a_window_is_reported(trained: TrainedRuns) -> None:
    done = ask(trained, "ar", "--tokens", "60", "--window", "8")
    assert "made in 3 windows" in done.stderr


@pytest.mark.parametrize(
    ("objective", "name"),
    [(objective, name) for objective in OBJECTIVES for name in samplers_of(objective)],
)
def test_every_sampler_of_an_objective_can_be_named(
    trained: TrainedRuns, objective: str, name: str
) -> None:
    # The window of 32 bytes is left, blocks of 8 are begun in the middle.
    arguments = ("--sampler", name, "--prompt", "def value", "--tokens", "30", "--window", "5")
    done = ask(trained, objective, *arguments, "--count", "2", "--format", "json")
    rows = json.loads(done.stdout)
    assert {row["sampler"] for row in rows} == {name}
    assert all(row["tokens"] == 30 or row["ended"] for row in rows)
    assert "forward passes" in done.stderr


REFUSED: dict[str, tuple[str, list[str], str]] = {
    "a whole-sequence sampler of blocks": (
        "block",
        ["--sampler", "ancestral"],
        "the objective block, which takes ancestral-blocks, blocks",
    ),
    "a diffusion sampler of any order": (
        "aoar",
        ["--sampler", "confidence"],
        "the objective aoar, which takes random-order, left-to-right",
    ),
    "an order of diffusion": (
        "mdlm",
        ["--sampler", "random-order"],
        "which takes ancestral, ancestral-blocks, confidence, blocks",
    ),
    "steps of any order": ("aoar", ["--steps", "4"], "--steps has no effect"),
    "another size of blocks": ("block", ["--block-size", "4"], "trained on blocks of its own size"),
    "fewer steps than blocks": ("block", ["--steps", "3"], "there are 4 blocks of 8 tokens"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_an_objective_is_refused(trained: TrainedRuns, case: str) -> None:
    objective, arguments, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        ask(trained, objective, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sampler", "ancestral"], "the objective ar, which takes ar"),
        (["--sampler", "anc"], "no such sampler"),
        (["--steps", "4"], "--steps has no effect on --sampler ar"),
        (["--prompt", "x" * 32], "fill the model's context of 32"),
        (["--prompt", "a", "--prompt-file", "b"], "give one of them"),
        (["--prompt-file", "nowhere.txt"], "cannot be read"),
        (["--device", "tpu"], "--device tpu.* Known: auto, cpu, cuda"),
    ],
)
def test_wrong_input_is_refused_with_a_message(
    trained: TrainedRuns, arguments: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ask(trained, "ar", *arguments)
