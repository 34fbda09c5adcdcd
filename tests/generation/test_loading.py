"""Trained runs: their models loaded again, and the command that makes text with them."""

import gc
import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.conftest import RECIPE
from workbench.cli import app
from workbench.data import PreparedData
from workbench.data.windows import ValidationWindows
from workbench.errors import InputError
from workbench.generation.loading import find_run, load_run_model
from workbench.recipe import load_recipe
from workbench.runner import make_folders, prepare_study
from workbench.runs import RunFolder
from workbench.store.reading import read_records
from workbench.training import worker
from workbench.training.loss import token_nll
from workbench.training.objectives import build_objective

Study = dict[str, RunFolder]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Study:
    """One finished run an objective, and one that was never started."""
    folder = tmp_path_factory.mktemp("sampled")
    recipe_path = folder / "tiny.toml"
    recipe_path.write_text(RECIPE.format(corpus=corpus) + '"training.seed" = [0, 1]\n')
    recipe = load_recipe(recipe_path)
    runs = list(make_folders(recipe, prepare_study(recipe, folder), folder).values())
    named = {}
    for run in runs:
        training = run.config_json()["config"]["training"]
        if training["seed"] == 0:
            assert worker.main(run.path) == worker.FINISHED
            named[training["objective"]] = run
        else:
            named["untrained"] = run
    gc.enable()  # titan's trainer turns it off for its process
    return named


def results_of(study: Study) -> Path:
    return study["ar"].path.parent.parent


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_a_loaded_model_has_the_validation_loss_that_its_run_recorded(
    study: Study, objective: str
) -> None:
    run = study[objective]
    loaded = load_run_model(run, device="cpu")
    assert loaded.step == 12
    assert not loaded.model.training
    data = run.config_json()["data"]["folder"]
    windows = ValidationWindows(
        PreparedData.open(results_of(study) / data).held_out(), seq_len=32, n_tokens=2048
    )
    tokens = torch.from_numpy(windows.tokens)
    method = build_objective(loaded.config.training, loaded.vocab)
    recorded = read_records(run.records_path).frame.filter(metric="val_loss", step=12)["value"][0]
    total, repeats = 0.0, 1 if objective == "ar" else 40
    for repeat in range(repeats):
        # Which window has which noise is another than in training: average it out.
        window = (torch.arange(len(tokens)) + repeat * 7) % len(tokens)
        seen = method.validation_inputs(tokens, window, len(tokens))
        nll = token_nll(loaded.model(seen.inputs_BL), seen.targets_BL, loaded.vocab.n_tokens)
        weights = 1.0 if seen.weights_BL is None else seen.weights_BL
        total += (nll * weights).mean().item() / repeats
    assert total == pytest.approx(recorded, abs=1e-5 if objective == "ar" else 0.03)


def test_checkpoints_are_told_apart(study: Study) -> None:
    steps = sorted(int(p.name[5:]) for p in study["ar"].checkpoint_dir.glob("step-*"))
    early = load_run_model(study["ar"], device="cpu", step=steps[0]).model.state_dict()
    late = load_run_model(study["ar"], device="cpu").model.state_dict()
    assert not torch.equal(early["norm.weight"], late["norm.weight"])
    with pytest.raises(InputError, match="no checkpoint of step 5: it keeps"):
        load_run_model(study["ar"], device="cpu", step=5)


def test_runs_are_found_by_the_beginning_of_their_id(study: Study) -> None:
    results, run = results_of(study), study["ar"]
    assert find_run(results, run.run_id).path == run.path
    others = [r.run_id for r in study.values() if r is not run]
    size = next(n for n in range(1, 13) if not any(o.startswith(run.run_id[:n]) for o in others))
    assert find_run(results, run.run_id[:size] if size > 1 else run.run_id).path == run.path
    with pytest.raises(InputError, match="there is no run zzz"):
        find_run(results, "zzz")
    with pytest.raises(InputError, match="there are no runs"):
        find_run(results / "elsewhere", "zzz")


def test_a_run_without_a_checkpoint_is_refused(study: Study) -> None:
    with pytest.raises(InputError, match=r"has no checkpoint \(planned\)"):
        load_run_model(study["untrained"], device="cpu")


def ask(study: Study, objective: str, *arguments: str):
    run = study[objective].run_id
    command = ["sample", run, "--results", str(results_of(study)), "--device", "cpu", *arguments]
    return CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_the_command_gives_text_on_stdout_and_speed_on_stderr(study: Study, objective: str) -> None:
    told = ask(study, objective, "--prompt", "def ", "--seed", "3")
    assert told.exit_code == 0
    assert told.stdout.startswith("def ")
    assert "tokens a second" in told.stderr
    assert "tokens a second" not in told.stdout
    assert ask(study, objective, "--prompt", "def ", "--seed", "3").stdout == told.stdout


def test_the_json_has_a_row_a_text(study: Study, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("class ä")
    arguments = ("--prompt-file", str(prompt), "--count", "3", "--steps", "4", "--tokens", "9")
    rows = json.loads(ask(study, "mdlm", *arguments, "--format", "json").stdout)
    assert [row["sample"] for row in rows] == [0, 1, 2]
    assert {row["prompt"] for row in rows} == {"class ä"}
    assert all(row["tokens"] == 9 or row["ended"] for row in rows)
    assert all(0 < row["passes"] <= 4 for row in rows)
    assert rows[0]["tokens_per_second"] > 0


def test_a_window_is_said(study: Study) -> None:
    told = ask(study, "ar", "--tokens", "60", "--window", "8")
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
def test_wrong_input_is_said(study: Study, arguments: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ask(study, "ar", *arguments)
