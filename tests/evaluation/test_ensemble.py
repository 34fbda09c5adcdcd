"""Ensembles: the mean of the members' probabilities, measured as a run of their own."""

import gc
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.conftest import RECIPE
from tests.evaluation.conftest import Study
from workbench.cli import app
from workbench.errors import InputError
from workbench.evaluation.ensemble import ensemble
from workbench.evaluation.likelihood import Continuation, continuation_nll
from workbench.evaluation.scorer import ModelScorer
from workbench.planning.prepare import prepare_study
from workbench.recipe import load_recipe
from workbench.running import worker
from workbench.running.study import make_folders
from workbench.runs.folder import RunFolder, list_runs
from workbench.store import query
from workbench.store.items import read_items_of
from workbench.store.read_records import read_records
from workbench.training.trained_model import RunModel, load_run_model

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> list[RunFolder]:
    """One AR configuration, trained from two seeds."""
    folder = tmp_path_factory.mktemp("seeds")
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(corpus=corpus) + '"training.seed" = [0, 1]\n')
    recipe = load_recipe(path, ["training.objective=ar"])
    runs = list(make_folders(recipe, prepare_study(recipe, folder), folder).values())
    for run in runs:
        assert worker.main(run.path) == worker.FINISHED
    gc.enable()
    return runs


@pytest.fixture(scope="module")
def models(seeds: list[RunFolder]) -> list[RunModel]:
    return [load_run_model(run, device="cpu") for run in seeds]


NAMES = ["a", "b"]


def nll(model: RunModel, rows: list[Continuation]) -> np.ndarray:
    return continuation_nll(ModelScorer(model), rows, context=32, draws=1, batch=64)[:, 0]


def test_a_token_has_the_mean_of_the_members_probabilities(models: list[RunModel]) -> None:
    context = np.arange(97, 107)
    rows = [Continuation(context, [token], 0) for token in range(models[0].vocab.n_tokens)]
    members = [np.exp(-nll(model, rows)) for model in models]
    assert not np.allclose(*members), "two seeds differ"
    averaged = np.exp(-nll(ensemble(models, NAMES), rows))
    np.testing.assert_allclose(averaged, np.mean(members, axis=0), rtol=1e-5)


def test_a_model_beside_itself_is_itself(models: list[RunModel]) -> None:
    tokens = torch.randint(97, 123, (3, 32), generator=torch.Generator().manual_seed(0))
    alone = models[0].model(tokens)[..., : models[0].vocab.n_tokens]
    twice = ensemble([models[0], models[0]], NAMES).model(tokens)
    torch.testing.assert_close(twice, alone.log_softmax(-1))


def evaluated(runs: list[RunFolder], *arguments: str) -> dict[str, list[dict]]:
    results = runs[0].results
    names = [run.run_id for run in runs]
    options = ["--results", str(results), "--format", "json", "--device", "cpu"]
    done = CliRunner().invoke(app, ["eval", *names, *options, *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows: dict[str, list[dict]] = {}
    for row in json.loads(done.stdout):
        rows.setdefault(row["metric"], []).append(row)
    return rows


def test_an_ensembles_loss_is_below_its_members_and_no_runs(seeds: list[RunFolder]) -> None:
    tasks = ["--tasks", "val_loss,cloze", "--questions", "16"]
    members = evaluated(seeds, *tasks, "--no-record")["val_loss"]
    before = list_runs(seeds[0].results)
    numbers = evaluated(seeds, *tasks, "--ensemble", "--no-record")
    (together,) = numbers["val_loss"]
    assert together["value"] < np.mean([member["value"] for member in members])
    assert together["run_id"] == "+".join(run.run_id for run in seeds)
    assert numbers["cloze_acc"][0]["n"] == 16
    assert len(list_runs(seeds[0].results)) == len(before), "nothing is saved"
    assert not any(run.evaluations_path.exists() for run in seeds)


def test_an_ensemble_is_saved_as_a_run_of_its_own_with_the_numbers_that_are_printed(
    seeds: list[RunFolder],
) -> None:
    tasks = ["--tasks", "val_loss", "--ensemble", "--study", "pairs"]
    rows = {metric: row for metric, (row,) in evaluated(seeds, *tasks).items()}
    run_id = rows["val_loss"]["run_id"]
    stored = query(
        seeds[0].results,
        f"""SELECT metric, value, step, tokens, flops FROM metrics JOIN study_runs USING (run_id)
            WHERE study = 'pairs' AND run_id = '{run_id}'""",
    ).to_dicts()
    assert {row["metric"] for row in stored} == {"val_loss", "val_bpb"}
    last = read_records(seeds[0].records_path).frame.filter(metric="val_loss").sort("step")[-1]
    for row in stored:
        assert row["value"] == pytest.approx(rows[row["metric"]]["value"], rel=1e-12)
        assert (row["step"], row["tokens"]) == (last["step"][0], last["tokens"][0])
        assert row["flops"] == pytest.approx(2 * last["flops"][0])
    frames = read_items_of(seeds[0].results, [run_id], "val_loss")
    assert frames[run_id].height > 0, "document by document too"
    assert not any(run.evaluations_path.exists() for run in seeds)


@pytest.mark.parametrize("objective", ["ar", "mdlm", "block", "aoar"])
def test_the_loss_of_a_checkpoint_is_the_one_that_training_recorded(
    study: Study, objective: str
) -> None:
    run = study[objective]
    draws = [] if objective == "ar" else ["--draws", "8"]
    (alone,) = evaluated([run], "--tasks", "val_loss", *draws, "--no-record")["val_loss"]
    recorded = read_records(run.records_path).frame.filter(metric="val_loss")
    assert alone["value"] == pytest.approx(recorded.sort("step")["value"][-1], rel=1e-5)


def test_members_that_differ_in_more_than_seeds_are_refused(
    study: Study, models: list[RunModel]
) -> None:
    other = load_run_model(study["mdlm"], device="cpu")
    with pytest.raises(InputError, match=r"a and b differ in .*training\.objective"):
        ensemble([models[0], other], NAMES)
    with pytest.raises(InputError, match="two runs or more"):
        ensemble(models[:1], NAMES[:1])


def test_members_of_different_steps_are_refused(models: list[RunModel]) -> None:
    earlier = replace(models[1], step=models[1].step - 1)
    with pytest.raises(InputError, match="run a was loaded at step 12 and b at 11"):
        ensemble([models[0], earlier], NAMES)
