"""Checkpoints at chosen points: kept through all that happens to a run, and asked afterwards."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.running.test_worker import make_run, values
from workbench.analysis.curves import load_curves
from workbench.cli import app
from workbench.errors import InputError
from workbench.planning.plan import plan_study
from workbench.recipe import load_recipe
from workbench.recipe.points import evenly_spaced
from workbench.running import worker
from workbench.running.extend import extended_run
from workbench.runs.checkpoints import all_checkpoints, kept_checkpoints, saved_steps
from workbench.runs.folder import RunFolder
from workbench.training.export_model import export_model
from workbench.training.trained_model import load_run_model

pytestmark = pytest.mark.training

POINTS = "training.checkpoint_points=3"
KEYS = ("training.checkpoint_every=2", "training.decay_fraction=0.5", "training.warmup_steps=2")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> RunFolder:
    """A finished run of 12 steps that keeps checkpoints. Leave it as it is."""
    folder = tmp_path_factory.mktemp("kept")
    run = make_run(folder, corpus, POINTS, *KEYS)
    assert worker.main(run.path) == worker.FINISHED
    return run


@pytest.fixture
def run(original: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of it."""
    shutil.copytree(original.results, tmp_path / "results")
    return RunFolder(tmp_path / "results" / "runs" / original.run_id)


def weights(run: RunFolder, step: int) -> dict[str, torch.Tensor]:
    return dict(load_run_model(run, device="cpu", step=step).model.state_dict())


def evaluate(run: RunFolder, *arguments: str) -> list[dict[str, object]]:
    given = ["eval", run.run_id, *arguments, "--results", str(run.results), "--device", "cpu"]
    done = CliRunner().invoke(app, [*given, "--format", "json"], catch_exceptions=False)
    return list(json.loads(done.stdout))


def test_weights_are_kept_beside_the_checkpoints_that_come_and_go(original: RunFolder) -> None:
    assert list(kept_checkpoints(original.checkpoint_dir)) == [4, 8]
    assert saved_steps(original.checkpoint_dir) == [6, 8, 10, 12], "6 is where the decay begins"
    assert list(all_checkpoints(original.checkpoint_dir)) == [4, 6, 8, 10, 12]


def test_keeping_changes_no_number(original: RunFolder, tmp_path: Path, corpus: Path) -> None:
    plain = make_run(tmp_path, corpus, *KEYS)
    assert worker.main(plain.path) == worker.FINISHED
    assert not kept_checkpoints(plain.checkpoint_dir)
    assert values(plain, "train_loss") == values(original, "train_loss")
    assert values(plain, "val_loss") == values(original, "val_loss")
    with pytest.raises(InputError, match=r"keeps no checkpoints .* training.checkpoint_points"):
        evaluate(plain, "--tasks", "val_loss", "--all-checkpoints")


@pytest.mark.parametrize("whole", [True, False])
def test_a_resumed_run_keeps_what_it_kept_and_makes_what_it_lacks(
    whole: bool, original: RunFolder, run: RunFolder
) -> None:
    """It goes on from step 6, and passes step 8 again. A crash while its weights were written
    leaves a folder without metadata, perhaps with files of more ranks than there are now."""
    for step in (8, 10, 12):
        shutil.rmtree(run.checkpoint_dir / f"step-{step}")
    folder = kept_checkpoints(run.checkpoint_dir)[8]
    if not whole:
        (folder / ".metadata").unlink()
        (folder / "__1_0.distcp").write_bytes(b"of another rank")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    run.write_status(state="interrupted")
    assert worker.main(run.path) == worker.FINISHED
    assert list(kept_checkpoints(run.checkpoint_dir)) == [4, 8]
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert after.keys() == {".metadata", "__0_0.distcp"}
    assert (after == before) == whole, "a whole one is not written over"
    for step in (4, 8, 12):
        expected, found = weights(original, step), weights(run, step)
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_every_kept_checkpoint_is_asked_and_recorded_at_its_step(run: RunFolder) -> None:
    rows = evaluate(run, "--tasks", "val_loss,cloze", "--questions", "64", "--all-checkpoints")
    losses = {row["step"]: row["value"] for row in rows if row["metric"] == "val_loss"}
    assert list(losses) == [4, 8, 12]
    curves = load_curves(run.results, "tiny", "cloze_acc", estimator="questions=64").curves
    (curve,) = (curve for curve in curves if curve.run_id == run.run_id)
    assert curve.x["tokens"].tolist() == [4 * 512, 8 * 512, 12 * 512]


def test_a_kept_checkpoint_has_the_loss_that_training_recorded_there(run: RunFolder) -> None:
    """With the draws of training: 2 on the way and 8 at the end."""
    trained = values(run, "val_loss")
    asked = ["--tasks", "val_loss", "--all-checkpoints", "--no-record", "--draws"]
    for draws, steps in (("2", (4, 8)), ("8", (12,))):
        rows = evaluate(run, *asked, draws)
        losses = {row["step"]: row["value"] for row in rows if row["metric"] == "val_loss"}
        for step in steps:
            assert losses[step] == pytest.approx(trained[step], rel=1e-5)


def test_one_checkpoint_or_all_are_asked(run: RunFolder) -> None:
    with pytest.raises(InputError, match="give one of them"):
        evaluate(run, "--tasks", "cloze", "--all-checkpoints", "--checkpoint", "4")
    rows = evaluate(run, "--tasks", "val_loss", "--checkpoint", "4", "--no-record")
    assert {row["step"] for row in rows} == {4}


def test_a_kept_checkpoint_is_exported(run: RunFolder, tmp_path: Path) -> None:
    assert export_model(run, tmp_path / "out", step=4, dtype="float32") == 4
    with pytest.raises(InputError, match="it keeps 4, 6, 8, 10, 12"):
        export_model(run, tmp_path / "other", step=5, dtype="float32")


def test_a_longer_run_has_what_was_kept_before_they_part(run: RunFolder) -> None:
    child = extended_run(run.results, run, 24 * 512)
    assert list(kept_checkpoints(child.checkpoint_dir)) == [4], "they part at step 6"
    assert worker.main(child.path) == worker.FINISHED
    assert list(kept_checkpoints(child.checkpoint_dir)) == [4, 8, 16]


def test_the_plan_states_the_disk_that_kept_weights_take(
    original: RunFolder, tmp_path: Path
) -> None:
    recipe = load_recipe(original.results / "tiny.toml", ["training.objective=mdlm", POINTS, *KEYS])
    (planned,) = plan_study(recipe, tmp_path).runs
    assert planned.row()["kept_checkpoints_bytes"] == planned.kept_bytes
    kept = kept_checkpoints(original.checkpoint_dir).values()
    files = [path for folder in kept for path in folder.iterdir()]
    tensors = len(weights(original, 4)) * len(kept)
    assert 0 < sum(path.stat().st_size for path in files) - planned.kept_bytes < 2048 * tensors
    plain = load_recipe(original.results / "tiny.toml", ["training.objective=mdlm"])
    assert "kept_checkpoints_bytes" not in plan_study(plain, tmp_path).runs[0].row()


def test_points_are_evenly_spaced_up_to_the_end() -> None:
    assert evenly_spaced(12, 3) == [4, 8, 12]
    assert evenly_spaced(10, 4) == [2, 5, 8, 10]
    assert evenly_spaced(3, 10) == [1, 2, 3]
    assert evenly_spaced(7, 1) == [7]
