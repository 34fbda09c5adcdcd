"""Trained runs: their models loaded again from their checkpoints."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import TrainedRuns
from workbench.data import PreparedData
from workbench.data.streams import validation_windows
from workbench.errors import InputError
from workbench.recipe import OBJECTIVES
from workbench.runs.folder import RunFolder
from workbench.runs.items import items_of, read_items
from workbench.runs.studies import find_run
from workbench.store.read_records import read_records
from workbench.training.checkpoint_metadata import read_metadata
from workbench.training.masks import mask_form
from workbench.training.trained_model import as_trainer, compute_dtype, load_run_model
from workbench.training.validation import Validation, sequence_nll


@pytest.fixture
def copied(trained: TrainedRuns, tmp_path: Path) -> RunFolder:
    """A run that may be damaged, without its results folder."""
    path = tmp_path / "runs" / trained["ar"].run_id
    shutil.copytree(trained["ar"].path, path)
    return RunFolder(path)


def test_a_run_of_each_objective_is_there(trained: TrainedRuns) -> None:
    assert set(trained) == {*OBJECTIVES, "untrained"}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_loaded_model_has_the_validation_loss_that_its_run_recorded(
    trained: TrainedRuns, objective: str
) -> None:
    run = trained[objective]
    loaded = load_run_model(run, device="cpu")
    assert loaded.step == 12
    assert not loaded.model.training
    prepared = PreparedData.open(run.results / run.config_json()["data"]["folder"])
    windows = validation_windows(prepared, loaded.config.data)
    last = loaded.config.evaluation.validation_draws_last or 1
    validation = Validation(windows, batch=16, draws=last)
    loss, items = validation.evaluate(as_trainer(loaded), noise=12)
    recorded = read_records(run.records_path).frame.filter(metric="val_loss", step=12)
    (row,) = recorded.to_dicts()
    assert loss.value == pytest.approx(row["value"], abs=1e-5)
    assert loss.stderr == pytest.approx(row["stderr"], rel=1e-4)
    if objective == "ar":
        assert (loss.noise_stderr, row["noise_stderr"]) == (None, None)
    else:
        assert loss.noise_stderr == pytest.approx(row["noise_stderr"], rel=1e-3)
    assert (loss.n, loss.draws, loss.documents) == (row["n"], row["draws"], row["documents"])
    kept = items_of(read_items(run.items_dir, ["val_loss"]).filter(step=12))
    assert kept.total_N == pytest.approx(items.total_N, abs=1e-3)


def test_a_checkpoint_is_loaded_by_its_step(trained: TrainedRuns) -> None:
    steps = sorted(int(p.name[5:]) for p in trained["ar"].checkpoint_dir.glob("step-*"))
    early = load_run_model(trained["ar"], device="cpu", step=steps[0]).model.state_dict()
    late = load_run_model(trained["ar"], device="cpu").model.state_dict()
    assert not torch.equal(early["norm.weight"], late["norm.weight"])
    with pytest.raises(InputError, match="no checkpoint of step 5: it keeps"):
        load_run_model(trained["ar"], device="cpu", step=5)


def test_runs_are_found_by_the_beginning_of_their_id(trained: TrainedRuns) -> None:
    results, run = trained["ar"].results, trained["ar"]
    assert find_run(results, run.run_id).path == run.path
    others = [r.run_id for r in trained.values() if r is not run]
    size = next(n for n in range(1, 13) if not any(o.startswith(run.run_id[:n]) for o in others))
    assert find_run(results, run.run_id[:size] if size > 1 else run.run_id).path == run.path
    with pytest.raises(InputError, match="there is no run zzz"):
        find_run(results, "zzz")
    with pytest.raises(InputError, match="there are no runs"):
        find_run(results / "empty", "zzz")


def test_a_run_without_a_checkpoint_is_refused(trained: TrainedRuns) -> None:
    with pytest.raises(InputError, match=r"has no checkpoint \(planned\)"):
        load_run_model(trained["untrained"], device="cpu")


def _cut_short(run: RunFolder) -> None:
    for part in (run.checkpoint_dir / "step-12").glob("*.distcp"):
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])


def _without_a_part(run: RunFolder) -> None:
    for part in (run.checkpoint_dir / "step-12").glob("*.distcp"):
        part.unlink()


def _without_metadata(run: RunFolder) -> None:
    (run.checkpoint_dir / "step-12" / ".metadata").write_bytes(b"")


def _with_a_bit_flipped(run: RunFolder) -> None:
    """In the middle of each of the model's tensors, whose archives keep their size."""
    folder = run.checkpoint_dir / "step-12"
    metadata, digested = read_metadata(folder / ".metadata")
    assert digested
    content = bytearray((folder / "__0_0.distcp").read_bytes())
    for index, place in metadata.storage_data.items():
        if not index.fqn.startswith("optimizer"):
            content[place.offset + place.length // 2] ^= 1
    (folder / "__0_0.distcp").write_bytes(content)


def _of_another_model(run: RunFolder) -> None:
    document = run.config_json()
    document["config"]["model"]["width"] = 64
    run.config_path.write_text(json.dumps(document))


def _of_another_vocabulary(run: RunFolder) -> None:
    document = run.config_json()
    document["config"]["model"]["vocab_size"] = 512
    run.config_path.write_text(json.dumps(document))


def _imported(run: RunFolder) -> None:
    run.config_path.write_text(json.dumps(run.config_json() | {"imported": True}))


def _gone(run: RunFolder) -> None:
    shutil.rmtree(run.path)


DAMAGED: dict[str, tuple[Callable[[RunFolder], None], str]] = {
    "cut short": (_cut_short, "__0_0.distcp: cut short"),
    "a part missing": (_without_a_part, "__0_0.distcp: cannot be read"),
    "empty metadata": (_without_metadata, ".metadata: not a checkpoint's metadata"),
    "a bit flipped": (_with_a_bit_flipped, "__0_0.distcp: .* is not what was written"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(
    copied: RunFolder, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    harm, message = DAMAGED[kind]
    harm(copied)
    assert load_run_model(copied, device="cpu").step == 11
    printed = capsys.readouterr().err
    assert re.search(message, printed)
    assert "the checkpoint of step 11 is used instead" in printed
    with pytest.raises(InputError, match=message):  # asked for by its step, no other will do
        load_run_model(copied, device="cpu", step=12)


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(copied: RunFolder) -> None:
    for path in copied.checkpoint_dir.glob("step-*/.metadata"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"step-10/\.metadata: not a checkpoint's metadata"):
        load_run_model(copied, device="cpu")


DAMAGE: dict[str, tuple[Callable[[RunFolder], None], str]] = {
    "another model": (_of_another_model, "step-12 cannot be read"),
    "another vocabulary": (_of_another_vocabulary, "Put the old file back"),
    "imported": (_imported, "there are numbers and no model: it was imported"),
    "gone": (_gone, "config.json"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_cannot_be_loaded_is_refused_with_its_reason(copied: RunFolder, kind: str) -> None:
    damage, message = DAMAGE[kind]
    damage(copied)
    with pytest.raises(InputError, match=message):
        load_run_model(copied, device="cpu")


def test_a_model_is_loaded_without_the_shards_of_its_data(copied: RunFolder) -> None:
    assert not (copied.results / "data").exists()
    weights = load_run_model(copied, device="cpu", step=11).model.state_dict()
    assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize("objective", ["ar", "block"])
def test_a_model_in_bfloat16_computes_as_training_in_it_does(
    trained: TrainedRuns, objective: str
) -> None:
    run = trained[objective]
    exact = load_run_model(run, device="cpu")
    rounded = load_run_model(run, device="cpu", dtype="bfloat16")
    assert (exact.dtype, rounded.dtype) == ("float32", "bfloat16")
    assert mask_form(rounded.model).dtype == torch.bfloat16
    for name, weight in rounded.model.named_parameters():
        assert torch.equal(weight, exact.model.get_parameter(name).bfloat16())
    for name, table in rounded.model.named_buffers():
        assert torch.equal(table, exact.model.get_buffer(name)), "angles are no weights"
    made = as_trainer(exact).objective
    tokens = torch.randint(0, 256, (2, exact.context), generator=torch.Generator().manual_seed(0))
    question_B = torch.arange(2)
    asked = made.answer_inputs(tokens, 20, question_B, 0, 1)
    found = [sequence_nll(as_trainer(model), asked) for model in (exact, rounded)]
    torch.testing.assert_close(*found, rtol=2e-2, atol=0.0)
    assert not torch.equal(*found)


def test_by_itself_a_model_is_loaded_in_what_it_was_trained_in_on_a_gpu_and_float32_on_a_cpu(
    trained: TrainedRuns,
) -> None:
    loaded = load_run_model(trained["ar"], device="cpu", dtype="auto")
    assert (loaded.dtype, loaded.trained_in) == ("float32", "float32")
    assert compute_dtype("auto", "cuda", "bfloat16") == torch.bfloat16
    assert compute_dtype("auto", "cuda", "float32") == torch.float32
    assert compute_dtype("auto", "cpu", "bfloat16") == torch.float32
    assert compute_dtype("float32", "cuda", "bfloat16") == torch.float32
    with pytest.raises(InputError, match=r"--dtype half\. Known: auto, float32, bfloat16"):
        load_run_model(trained["ar"], device="cpu", dtype="half")
