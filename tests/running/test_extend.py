"""Extending a finished run: the longer run, as if it had been planned so."""

import errno
import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import Workbench
from tests.disks import refused_at
from tests.running.test_worker import make_run, values
from workbench.errors import InputError
from workbench.planning import compiling
from workbench.running import worker
from workbench.running.extend import extend, extended_run
from workbench.runs.folder import RunFolder
from workbench.runs.started_as import StartedAs, started_as
from workbench.store.read_records import read_records

pytestmark = pytest.mark.training

LONG = 24 * 512
# The warm-up of the short run: a longer one's would be longer by default.
KEYS = ["training.decay_fraction=0.25", "training.warmup_steps=2", "training.checkpoint_every=4"]
AVERAGES = ["training.ema=2_048", "training.average=stable"]


def trained(folder: Path, corpus: Path, *keys: str) -> RunFolder:
    folder.mkdir(exist_ok=True)
    run = make_run(folder, corpus, *KEYS, *keys)
    assert worker.main(run.path) == worker.FINISHED
    return run


def rows(run: RunFolder) -> dict[tuple[str, int], float]:
    frame = read_records(run.records_path).frame.filter(pl.col("metric") != "tokens_per_second")
    return {(r["metric"], r["step"]): r["value"] for r in frame.iter_rows(named=True)}


@pytest.mark.parametrize(
    "keys",
    [
        ["training.objective=ar", "model.dropout=0.1", "training.optimizer=muon", *AVERAGES],
        ["training.objective=mdlm"],
    ],
    ids=["ar with dropout, muon and averages", "mdlm"],
)
def test_an_extended_run_is_bit_for_bit_the_run_planned_so_from_the_start(
    keys: list[str], tmp_path: Path, corpus: Path
) -> None:
    parent = trained(tmp_path / "short", corpus, *keys)
    child = extended_run(tmp_path / "short", parent, LONG)
    assert child.run_id != parent.run_id
    assert child.status().step == 9
    assert worker.main(child.path) == worker.FINISHED
    whole = trained(tmp_path / "long", corpus, *keys, f"training.total_tokens={LONG}")

    document = child.config_json()
    assert document["parent"] == parent.run_id
    assert document["extended_from_step"] == 9
    assert child.run_id == whole.run_id
    assert document["config"] == whole.config_json()["config"]
    assert document["derived"] == whole.config_json()["derived"]
    extended, planned, short = rows(child), rows(whole), rows(parent)
    trained_steps = {key for key in planned if key[0] in ("train_loss", "grad_norm", "lr")}
    assert len(trained_steps) == 3 * 24
    assert {key: extended[key] for key in trained_steps} == {k: planned[k] for k in trained_steps}
    later = {key for key in planned if key[1] > 9}
    assert {key: extended[key] for key in later} == {key: planned[key] for key in later}
    # Step 10 is the first of the short run's decay: its loss is from before its update.
    last_equal = {"lr": 9, "val_loss": 9, "train_loss": 10, "grad_norm": 10}
    for metric, step in short.keys() & planned.keys():
        if metric in last_equal:
            equal = short[metric, step] == planned[metric, step]
            assert equal == (step <= last_equal[metric]), (metric, step)


def test_an_extended_run_goes_on_as_its_parent_was_started(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = trained(tmp_path, corpus)
    began = started_as(parent.provenance_json())
    assert began == StartedAs("cpu", "float32", compile=False)
    monkeypatch.setattr(compiling, "AUTO_COMPILE_FLOPS", 1.0)
    child = extended_run(tmp_path, parent, LONG)
    assert started_as(child.provenance_json()) == began
    assert worker.main(child.path) == worker.FINISHED
    assert started_as(child.provenance_json()) == began


def test_the_checkpoint_before_the_decay_outlives_later_ones(tmp_path: Path, corpus: Path) -> None:
    run = trained(tmp_path, corpus, "training.checkpoint_every=1")
    steps = {path.name for path in run.checkpoint_dir.iterdir()}
    assert {"step-9", "step-12"} <= steps
    assert len(steps) <= 4


def test_what_cannot_be_extended_is_refused_before_anything_is_made(
    tmp_path: Path, corpus: Path
) -> None:
    run = make_run(tmp_path, corpus, *KEYS)
    with pytest.raises(InputError, match="is planned: only a finished run"):
        extend(tmp_path, run.run_id, LONG)
    assert worker.main(run.path) == worker.FINISHED
    with pytest.raises(InputError, match="has 6144 already"):
        extend(tmp_path, run.run_id, 6144)
    with pytest.raises(InputError, match="not one step more"):
        extend(tmp_path, run.run_id, 6145)
    with pytest.raises(InputError, match="no study or run nothing"):
        extend(tmp_path, "nothing", LONG)
    shutil.rmtree(run.checkpoint_dir / "step-9")
    with pytest.raises(InputError, match=r"checkpoint before the decay .*step-9.* not there any"):
        extend(tmp_path, run.run_id, LONG)
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_rate_that_falls_from_the_start_leaves_nothing_to_extend(
    tmp_path: Path, corpus: Path
) -> None:
    run = trained(tmp_path, corpus, "training.decay_fraction=1.0", "training.warmup_steps=0")
    with pytest.raises(InputError, match="falls from the first step"):
        extend(tmp_path, run.run_id, LONG)


@pytest.mark.long
def test_an_extension_belongs_to_its_parents_study_and_survives_a_second_run(
    recipe: Path, workbench: Workbench, tmp_path: Path
) -> None:
    ar_alone = ("--set", "training.objective=ar", "--set", "evaluation.tasks=[]")
    assert workbench("run", recipe, *ar_alone).returncode == 0
    done = workbench("extend", "tiny", "--total-tokens", LONG)
    assert done.returncode == 0, done.stderr
    assert workbench("run", recipe, *ar_alone).returncode == 0
    done = workbench(
        "sql",
        "SELECT child.total_tokens, parent.total_tokens AS before, child.state FROM runs AS child "
        "JOIN runs AS parent ON child.parent = parent.run_id "
        "JOIN study_runs ON study_runs.run_id = child.run_id WHERE study = 'tiny'",
        *("--format", "json"),
    )
    assert json.loads(done.stdout) == [
        {"total_tokens": LONG, "before": 6144, "state": "finished"}
    ], done.stderr
    runs = [RunFolder(path) for path in (tmp_path / "results" / "runs").iterdir()]
    (child,) = [run for run in runs if run.config_json()["parent"] is not None]
    assert 1 in values(child, "val_loss"), "it has the records of its parent's first steps"


def test_an_extension_that_has_no_room_names_the_file_and_leaves_no_folder(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, corpus, *KEYS)
    checkpoint = run.checkpoint_dir / "step-9"
    checkpoint.mkdir(parents=True)
    (checkpoint / "__0_0.distcp").write_bytes(bytes(100_000))
    run.records_path.touch()

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    with refused_at(50_000, "distcp: cannot be copied"):
        extended_run(tmp_path, run, LONG)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.run_id]
    assert extended_run(tmp_path, run, LONG).checkpoint_dir.exists()
