"""Keys that change no number are taken from the recipe as it is now, until a run has finished."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import RECIPE
from workbench.planning.prepare import prepare_study
from workbench.recipe import load_recipe
from workbench.running import worker
from workbench.running.study import make_folders
from workbench.runs.checkpoints import kept_checkpoints
from workbench.runs.folder import RunFolder


def folder_of(tmp_path: Path, corpus: Path, *overrides: str) -> RunFolder:
    """The run of the recipe in `tmp_path`, as `workbench run` makes or finds it."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(corpus=corpus).replace('["ar", "mdlm"]', '["mdlm"]'))
    recipe = load_recipe(path, list(overrides))
    (run,) = make_folders(recipe, prepare_study(recipe, tmp_path), tmp_path).values()
    return run


def points(run: RunFolder) -> object:
    return run.config_json()["config"]["training"]["checkpoint_points"]


def test_a_run_that_still_trains_takes_the_paths_and_checkpoints_of_now(
    tmp_path: Path, corpus: Path
) -> None:
    run = folder_of(tmp_path, corpus)
    moved = tmp_path / "moved" / "text.txt"
    moved.parent.mkdir()
    shutil.copy(corpus, moved)
    before = run.config_json()
    for state in ("planned", "interrupted", "failed"):
        run.write_status(state=state)
        again = folder_of(tmp_path, moved, "training.checkpoint_points=3")
        assert again.path == run.path
        assert (again.config_json()["config"]["data"]["corpus"], points(again)) == (str(moved), 3)
        assert again.stored_status().state == state
        assert folder_of(tmp_path, corpus).config_json() == before


def test_a_run_that_is_finished_or_trains_now_stays_as_it_is(tmp_path: Path, corpus: Path) -> None:
    run = folder_of(tmp_path, corpus)
    with run.claim():
        folder_of(tmp_path, corpus, "training.checkpoint_points=3")
        assert points(run) is None
    run.write_status(state="finished")
    folder_of(tmp_path, corpus, "training.checkpoint_points=3")
    assert points(run) is None
    run.write_status(state="planned")
    folder_of(tmp_path, corpus, "training.checkpoint_points=3")
    assert points(run) == 3


def test_an_extended_run_keeps_its_parent(tmp_path: Path, corpus: Path) -> None:
    run = folder_of(tmp_path, corpus)
    document = {**run.config_json(), "parent": "x", "extended_from_step": 6}
    run.config_path.write_text(json.dumps(document))
    folder_of(tmp_path, corpus, "training.checkpoint_points=3")
    assert (run.config_json()["parent"], run.config_json()["extended_from_step"]) == ("x", 6)
    assert points(run) == 3


@pytest.mark.training
def test_a_planned_run_whose_tokenizer_moved_trains_and_keeps_what_is_asked_for_now(
    tmp_path: Path, corpus: Path
) -> None:
    from workbench.data.tokenizers import train_bpe

    first, second = tmp_path / "a" / "tokenizer.json", tmp_path / "b" / "tokenizer.json"
    for path in (first, second):
        path.parent.mkdir()
    train_bpe(iter(corpus.read_text().split("\n\n")), 300, first)
    every = "training.checkpoint_every=2"
    run = folder_of(tmp_path, corpus, f"data.tokenizer='{first}'", every)
    shutil.move(first, second)
    again = folder_of(
        tmp_path, corpus, f"data.tokenizer='{second}'", every, "training.checkpoint_points=3"
    )
    assert again.path == run.path
    assert worker.main(run.path) == worker.FINISHED, run.last_log_lines()
    assert list(kept_checkpoints(run.checkpoint_dir)) == [4, 8]


def test_runs_that_an_edited_text_leaves_behind_are_named(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = tmp_path / "text.txt"
    shutil.copy(corpus, edited)
    run = folder_of(tmp_path, edited)
    edited.write_text("another first document\n\n" + edited.read_text())
    assert folder_of(tmp_path, edited).run_id != run.run_id
    assert run.run_id not in capsys.readouterr().err, "it has not begun: nothing is lost"
    shutil.copy(corpus, edited)
    assert folder_of(tmp_path, edited).run_id == run.run_id
    run.write_status(state="interrupted", step=4)
    edited.write_text("another first document\n\n" + edited.read_text())
    again = folder_of(tmp_path, edited)
    said = capsys.readouterr().err
    assert "1 earlier run is no longer part of tiny" in said
    assert "(0 ended, 1 unfinished)" in said
    assert run.run_id in said
    assert "workbench retry" in said
    assert run.path.is_dir()
    assert again.run_id != run.run_id


def test_finished_runs_that_an_edited_recipe_leaves_behind_are_named_with_what_they_were(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = [folder_of(tmp_path, corpus, f"training.seed={seed}") for seed in range(4, 5)]
    for run in old:
        run.write_status(state="finished", step=12)
    wide = folder_of(tmp_path, corpus, "training.lr=0.5", "model.width=48", "model.heads=3")
    said = capsys.readouterr().err
    assert "1 earlier run is no longer part of tiny" in said
    assert "(1 ended, 0 unfinished)" in said
    (line,) = [line for line in said.splitlines() if line.startswith(f"  {old[0].run_id}")]
    assert " seed 4, " in line
    assert "training.lr = " in line
    assert line.endswith(", finished")
    assert "Their records stay" in said
    assert f"workbench show {old[0].run_id}" in said
    assert "workbench retry" not in said
    assert old[0].path.is_dir()
    # The same recipe again loses none.
    assert (
        folder_of(tmp_path, corpus, "training.lr=0.5", "model.width=48", "model.heads=3").path
        == wide.path
    )
    assert capsys.readouterr().err == ""
