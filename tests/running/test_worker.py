"""One run from its folder to its end, in this process."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import RECIPE
from tests.disks import FULL, files_end_at
from workbench.planning import compiling
from workbench.planning.prepare import prepare_study
from workbench.recipe import load_recipe
from workbench.running import worker
from workbench.running.control import cancel
from workbench.running.study import make_folders
from workbench.runs.folder import RunFolder
from workbench.runs.started_as import StartedAs, note_started_as, started_as
from workbench.store.read_records import read_records
from workbench.training.checkpoints import StoppableCheckpoints
from workbench.training.trainer import StudyTrainer

pytestmark = pytest.mark.training


def make_run(tmp_path: Path, corpus: Path, *overrides: str) -> RunFolder:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(corpus=corpus))
    recipe = load_recipe(path, ["training.objective=mdlm", *overrides])
    (run,) = make_folders(recipe, prepare_study(recipe, tmp_path), tmp_path).values()
    return run


def values(run: RunFolder, metric: str) -> dict[int, float]:
    frame = read_records(run.records_path).frame.filter(metric=metric)
    return dict(zip(frame["step"], frame["value"], strict=True))


def test_no_start_trains_on_damaged_shards(tmp_path: Path, corpus: Path) -> None:
    run = make_run(tmp_path, corpus)
    shard = tmp_path / run.config_json()["data"]["folder"] / "train.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert worker.main(run.path) == worker.FAILED
    assert "is damaged" in str(run.status().error)
    assert read_records(run.records_path).frame.is_empty() if run.records_path.exists() else True
    shard.write_bytes(whole)
    assert worker.main(run.path) == worker.FINISHED


def test_a_run_leaves_its_records_state_and_checkpoint(tmp_path: Path, corpus: Path) -> None:
    run = make_run(tmp_path, corpus)
    assert worker.main(run.path) == worker.FINISHED
    status = run.status()
    assert (status.state, status.step, status.tokens, status.attempts) == ("finished", 12, 6144, 1)
    assert (run.checkpoint_dir / "step-12" / ".metadata").exists()
    reading = read_records(run.records_path)
    assert reading.problems == []
    derived = json.loads(run.config_path.read_text())["derived"]
    last = reading.frame.filter(step=12, metric="val_loss").row(0, named=True)
    assert last["tokens"] == 6144
    assert last["epoch"] == 3.0
    assert last["flops"] == pytest.approx(derived["train_flops"])
    assert last["estimator"] == "nelbo"
    assert last["n"] == 64
    assert 0 < last["stderr"] < last["value"]
    accuracy = reading.frame.filter(step=12, metric="cloze_acc").row(0, named=True)
    assert (accuracy["n"], accuracy["estimator"], accuracy["draws"]) == (16, "nelbo", 4)
    train = reading.frame.filter(metric="train_loss")
    assert set(train["estimator"]) == {"elbo_t"}
    assert train["step"].to_list() == list(range(1, 13))


def test_a_finished_run_is_not_trained_again(tmp_path: Path, corpus: Path) -> None:
    run = make_run(tmp_path, corpus)
    assert worker.main(run.path) == worker.FINISHED
    before = run.records_path.read_bytes()
    assert worker.main(run.path) == worker.FINISHED
    assert run.records_path.read_bytes() == before
    assert run.status().attempts == 1


def test_a_claimed_run_is_left_alone(tmp_path: Path, corpus: Path) -> None:
    run = make_run(tmp_path, corpus)
    with run.claim():
        assert worker.main(run.path) == worker.CLAIMED
    assert run.status().state == "planned"
    assert not run.records_path.exists()


@pytest.mark.parametrize("weighting", ["elbo_t", "elbo_realized", "maskgit"])
def test_micro_batches_add_up_to_the_batch(weighting: str, tmp_path: Path, corpus: Path) -> None:
    keys = [f"training.loss_weighting={weighting}"]
    whole = make_run(tmp_path, corpus, *keys)
    parts = make_run(tmp_path, corpus, *keys, "training.micro_batch_size=4")
    for run in (whole, parts):
        assert worker.main(run.path) == worker.FINISHED
    expected, added_up = values(whole, "train_loss"), values(parts, "train_loss")
    assert expected.keys() == added_up.keys()
    assert max(abs(expected[step] - added_up[step]) for step in expected) < 1e-4


def test_bfloat16_trains_close_to_float32(tmp_path: Path, corpus: Path) -> None:
    exact = make_run(tmp_path, corpus)
    rough = make_run(tmp_path, corpus, "training.dtype=bfloat16")
    for run in (exact, rough):
        assert worker.main(run.path) == worker.FINISHED
    float32, bfloat16 = values(exact, "val_loss"), values(rough, "val_loss")
    assert float32[12] != bfloat16[12]
    assert abs(float32[12] - bfloat16[12]) < 0.05


def test_weightings_train_differently_and_are_validated_alike(tmp_path: Path, corpus: Path) -> None:
    runs = [
        make_run(tmp_path, corpus, f"training.loss_weighting={weighting}")
        for weighting in ("elbo_t", "maskgit")
    ]
    for run in runs:
        assert worker.main(run.path) == worker.FINISHED
    first = [values(run, "val_loss")[1] for run in runs]
    assert first[0] == pytest.approx(first[1], abs=0.05), "the same noise on nearly equal models"
    assert values(runs[0], "train_loss")[1] != values(runs[1], "train_loss")[1]


# Two windows, and no checkpoint before the records are longer than those.
FEW = ["data.validation_tokens=64", "training.checkpoint_every=100"]


@pytest.mark.parametrize(
    ("size", "keys", "message"),
    [
        (2_000, [], r"items/training\.parquet"),
        (3_900, FEW, r"records\.jsonl"),
        (100_000, [], "checkpoint of step 4"),
    ],
)
def test_a_full_disk_fails_a_run_by_name_and_the_next_start_goes_on(
    size: int, keys: list[str], message: str, tmp_path: Path, corpus: Path
) -> None:
    run = make_run(tmp_path, corpus, "training.checkpoint_every=4", "evaluation.tasks=[]", *keys)
    with files_end_at(size):
        assert worker.main(run.path) == worker.FAILED
    status = run.status()
    assert (status.state, status.attempts) == ("failed", 1)
    assert status.error is not None
    assert re.search(rf"{run.path}.*{message}.*cannot be written.*({FULL})", status.error)
    assert ("of space were left" in status.error) == ("checkpoint" in message)
    assert not list(run.checkpoint_dir.glob("*")), "half a checkpoint would take the room"
    run.plan_again()
    assert worker.main(run.path) == worker.FINISHED
    assert read_records(run.records_path).problems == []
    assert list(values(run, "train_loss")) == list(range(1, 13))
    assert run.status().attempts == 2


def test_a_run_records_what_it_starts_as_and_says_why_it_is_eager(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(compiling, "AUTO_COMPILE_FLOPS", 1.0)
    run = make_run(tmp_path, corpus)
    assert worker.main(run.path) == worker.FINISHED
    why = "there is no C++ compiler (no-such-compiler)"
    assert started_as(run.provenance_json()) == StartedAs("cpu", "float32", False, why)
    assert f"trains as cpu float32 eager ({why})" in capfd.readouterr().err


def test_a_compiled_run_is_not_begun_without_a_compiler(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    run = make_run(tmp_path, corpus, "training.compile=true")
    assert worker.main(run.path) == worker.FAILED
    assert "training.compile = true, and there is no C++ compiler" in str(run.status().error)
    assert not run.records_path.exists()
    assert started_as(run.provenance_json()) is None


def test_a_run_that_began_on_another_device_is_left_as_it_is_until_it_has_that_again(
    tmp_path: Path, corpus: Path
) -> None:
    run = make_run(tmp_path, corpus)
    began = StartedAs("cuda", "bfloat16", True)
    note_started_as(run, began)
    record = {"step": 1, "metric": "train_loss", "value": 5.0, "tokens": 512, "epoch": 0.1}
    run.records_path.write_text(json.dumps(record) + "\n")
    before = run.records_path.read_bytes()
    assert worker.main(run.path) == worker.FAILED
    error = str(run.status().error)
    assert "started as cuda bfloat16 compiled, and there is no GPU here" in error
    assert "move the run's folder away" in error
    assert run.records_path.read_bytes() == before
    assert started_as(run.provenance_json()) == began
    # Nothing was recorded yet: what it was started as holds for no number.
    run.records_path.unlink()
    run.plan_again()
    assert worker.main(run.path) == worker.FINISHED
    assert started_as(run.provenance_json()) == StartedAs("cpu", "float32", False)


def test_determinism_is_asked_for_while_a_run_that_wants_it_trains_and_no_longer(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    plain = StudyTrainer.train_step

    def step(self: StudyTrainer, batches: Any) -> None:
        seen.append(torch.are_deterministic_algorithms_enabled())
        plain(self, batches)

    monkeypatch.setattr(StudyTrainer, "train_step", step)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # set by titan, and put back
    without = make_run(tmp_path, corpus)
    asked = make_run(tmp_path, corpus, "training.deterministic=true")
    assert make_run(tmp_path, corpus, "training.deterministic=false").path == without.path
    assert asked.path != without.path
    for run in (asked, without):
        assert worker.main(run.path) == worker.FINISHED
    assert seen == [True] * 12 + [False] * 12
    assert not torch.are_deterministic_algorithms_enabled()
    assert values(asked, "train_loss") == values(without, "train_loss")


@pytest.mark.parametrize("step", [0, 6, 12, 13])
def test_a_cancel_is_obeyed_at_any_step_and_one_that_comes_too_late_says_so(
    step: int, tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, corpus, "training.checkpoint_every=5", "evaluation.tasks=[]")
    monkeypatch.setattr(worker, "_CANCEL_EVERY_S", 0.0)
    plain = StudyTrainer.train_step
    said = cancel(tmp_path, run.run_id) if step == 0 else []

    def train_step(self: StudyTrainer, batches: Any) -> None:
        if self.step == step:
            said.extend(cancel(tmp_path, run.run_id))
        plain(self, batches)

    monkeypatch.setattr(StudyTrainer, "train_step", train_step)
    code = worker.main(run.path)
    if step > 12:
        said += cancel(tmp_path, run.run_id)
    status = run.status()
    assert (status.state, status.step) == ("cancelled" if step < 12 else "finished", min(step, 12))
    assert code == (worker.STOPPED if step < 12 else worker.FINISHED)
    words = {0: f"{run.run_id}: cancelled.", 13: f"{run.run_id}: nothing to cancel."}
    assert said == [
        words.get(step, f"{run.run_id}: stops after a checkpoint, unless this was its last step.")
    ]
    assert run.cancel_path.exists() == (step < 12)
    if step == 6:
        assert (run.checkpoint_dir / "step-6" / ".metadata").exists()
        monkeypatch.setattr(StudyTrainer, "train_step", plain)
        run.plan_again()
        assert worker.main(run.path) == worker.FINISHED
        assert list(values(run, "train_loss")) == list(range(1, 13))


def test_a_request_between_the_checkpoint_and_the_next_step_waits_for_that_ones_checkpoint(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, corpus, "training.checkpoint_every=50", "evaluation.tasks=[]")
    monkeypatch.setattr(worker, "_CANCEL_EVERY_S", 0.0)
    plain = StoppableCheckpoints.save

    def save(self: StoppableCheckpoints, curr_step: int, *arguments: Any, **options: Any) -> None:
        plain(self, curr_step, *arguments, **options)
        if curr_step == 3:
            run.request_cancel()

    monkeypatch.setattr(StoppableCheckpoints, "save", save)
    assert worker.main(run.path) == worker.STOPPED
    assert run.status().state == "cancelled"
    assert (run.checkpoint_dir / f"step-{run.status().step}" / ".metadata").exists()
