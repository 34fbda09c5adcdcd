"""Runs go on from each other's checkpoints only where they compute alike."""

from pathlib import Path

import pytest

from tests.running.studies import make_run
from workbench.errors import InputError
from workbench.planning import compiling
from workbench.recipe import run_config
from workbench.running.shared_trunk import computes_alike, fill_from, take_trunk, trunks_of
from workbench.runs.files import write_json
from workbench.runs.folder import RunFolder
from workbench.runs.records import LONGEST_LINE
from workbench.runs.started_as import StartedAs, note_started_as, started_as

pytestmark = pytest.mark.training  # their checkpoints are taken for a sign of that

EAGER = StartedAs("cpu", "float32", compile=False)


def run_of(results: Path, run_id: str, tokens: int, flops: float) -> RunFolder:
    """A run that takes any device, with a checkpoint from which longer ones could go on."""
    run = make_run(results, run_id)
    document = run.config_json()
    document["config"]["training"] |= {
        "device": "auto", "total_tokens": tokens, "decay_fraction": 0.25, "warmup_steps": 2,
    }  # fmt: skip
    document["config"]["evaluation"] |= {"points": None, "every_tokens": 10 * 2048}
    document["derived"]["train_flops"] = flops
    write_json(run.config_path, document)
    step = run_config(document).trunk_steps
    (run.checkpoint_dir / f"step-{step}").mkdir(parents=True)
    (run.checkpoint_dir / f"step-{step}" / ".metadata").touch()
    run.records_path.write_text('{"step": 10, "metric": "val_loss", "value": 1.0}\n')
    run.write_status(state="finished")
    return run


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RunFolder, RunFolder]:
    """A short run, started eager on a CPU, and one that is long enough to be compiled there."""
    monkeypatch.setattr(compiling, "AUTO_COMPILE_FLOPS", 1.5e9)
    short = run_of(tmp_path, "short", 40 * 2048, 1e9)
    note_started_as(short, EAGER)
    return short, run_of(tmp_path, "long", 80 * 2048, 2e9)


def shared(*runs: RunFolder, device: str) -> set[str]:
    """Runs that have another one to go on from."""
    folders = {run.run_id: run for run in runs}
    configs = {run.run_id: run_config(run.config_json()) for run in runs}
    return set(trunks_of(runs[0].results, folders, configs, device).sources)


def test_a_compiled_run_has_no_trunk_in_common_with_an_eager_one(
    pair: tuple[RunFolder, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = pair
    assert shared(*pair, device="cpu") == set()
    assert shared(*pair, device="cuda") == {"long"}, "both are compiled"
    assert not computes_alike(long, short, "cpu")
    monkeypatch.setattr(compiling, "AUTO_COMPILE_FLOPS", 1e20)
    assert shared(*pair, device="cpu") == {"long"}
    assert computes_alike(long, short, "cpu")


def test_a_run_goes_on_only_from_one_of_its_own_device(pair: tuple[RunFolder, RunFolder]) -> None:
    short, long = pair
    compiled = StartedAs("cuda", "bfloat16", compile=True)
    note_started_as(short, compiled)
    assert computes_alike(long, short, "cuda")
    assert not computes_alike(long, short, "cpu")
    note_started_as(short, StartedAs("cpu", "float32", False, "there is no C++ compiler (g++)"))
    assert computes_alike(long, short, "cpu"), "neither can be compiled there"


def test_a_run_that_goes_on_from_another_was_started_as_that_one(tmp_path: Path) -> None:
    short, long = (run_of(tmp_path, name, n * 40 * 2048, 1e9) for name, n in (("a", 1), ("b", 2)))
    note_started_as(short, EAGER)
    short.note_device("cpu", "float32", 1)
    for step in long.checkpoint_dir.iterdir():
        (step / ".metadata").unlink()
    long.write_status(state="planned")
    assert take_trunk(long, short, run_config(short.config_json()).trunk_steps)
    assert started_as(long.provenance_json()) == EAGER


DAMAGED = {
    "bytes": b"\xcd\xce\n",
    "no end": b"1" * (LONGEST_LINE + 1),
    "words": b'{"step": "x"}\n',
    "no step": b'{"metric": "val_loss"}\n',
    "a list": b"[1]\n",
    "nested": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("what", DAMAGED)
def test_no_run_goes_on_from_one_whose_records_are_damaged(tmp_path: Path, what: str) -> None:
    source = run_of(tmp_path, "short", 40 * 2048, 1e9)
    with open(source.records_path, "ab") as file:
        file.write(DAMAGED[what])
    target = tmp_path / "long"
    target.mkdir()
    with pytest.raises(InputError, match=r"records.jsonl, line \d: not a record"):
        fill_from(source, target, run_config(source.config_json()).trunk_steps)
    assert list(target.iterdir()) == []
