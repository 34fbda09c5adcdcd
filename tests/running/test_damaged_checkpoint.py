"""A run that goes on where its newest checkpoint is damaged, or is somebody's who means harm."""

import io
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.running.test_worker import make_run, values
from workbench.running import worker
from workbench.runs.folder import RunFolder
from workbench.training.checkpoint_metadata import digest, pickled, read_metadata

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> RunFolder:
    """A run with checkpoints of steps 10, 11 and 12."""
    run = make_run(tmp_path_factory.mktemp("finished"), corpus)
    assert worker.main(run.path) == worker.FINISHED
    return run


@pytest.fixture
def stopped(finished: RunFolder, tmp_path: Path) -> RunFolder:
    """The same run, stopped after step 11."""
    shutil.copytree(finished.results / "data", tmp_path / "data")
    run = RunFolder(tmp_path / "runs" / finished.run_id)
    shutil.copytree(finished.path, run.path)
    shutil.rmtree(run.checkpoint_dir / "step-12")
    run.write_status(state="interrupted", step=11)
    return run


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return os.mkdir, (str(self.ran),)


def of_value(path: Path, name: str, content: bytes) -> None:
    """Put other bytes in the place of a value, with the digest that they should have."""
    metadata = pickle.loads(path.read_bytes())  # written by this test's own run
    part = path.with_name("__0_0.distcp")
    for index, place in metadata.storage_data.items():
        if index.fqn == name:
            place.offset, place.length = part.stat().st_size, len(content)
            place.xxh3 = digest(content)
    with open(part, "ab") as file:
        file.write(content)
    path.write_bytes(pickled(metadata))


def a_flipped_bit(path: Path, _: Path) -> None:
    part = path.with_name("__0_0.distcp")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)


def code_in_metadata(path: Path, ran: Path) -> None:
    metadata = pickle.loads(path.read_bytes())
    metadata.planner_data = Runs(ran)
    path.write_bytes(pickled(metadata))


def code_as_a_value(path: Path, ran: Path) -> None:
    made = io.BytesIO()
    torch.save(Runs(ran), made)
    of_value(path, "train_state.step", made.getvalue())


DAMAGE = (a_flipped_bit, code_in_metadata, code_as_a_value)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_run_goes_on_from_the_checkpoint_before_and_no_code_of_it_runs(
    damage: Callable[[Path, Path], None],
    finished: RunFolder,
    stopped: RunFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(stopped.checkpoint_dir / "step-11" / ".metadata", tmp_path / "ran")
    assert worker.main(stopped.path) == worker.FINISHED
    assert not (tmp_path / "ran").exists()
    printed = capsys.readouterr().err
    assert f"The checkpoint of step 11 is not used: {stopped.checkpoint_dir}/step-11/" in printed
    assert "goes on from the checkpoint before, of step 10" in printed
    assert "Traceback" not in printed
    for metric in ("train_loss", "val_loss"):
        assert values(stopped, metric) == values(finished, metric)
    steps = {path.name for path in stopped.checkpoint_dir.iterdir()}
    assert steps >= {"damaged-11", "step-11", "step-12"}


def test_a_run_without_another_checkpoint_fails_and_names_the_file(stopped: RunFolder) -> None:
    shutil.rmtree(stopped.checkpoint_dir / "step-10")
    path = stopped.checkpoint_dir / "step-11" / "__0_0.distcp"
    a_flipped_bit(path.with_name(".metadata"), path)
    assert worker.main(stopped.path) == worker.FAILED
    error = stopped.status().error or ""
    assert f"{path}: " in error
    assert "is not what was written" in error
    assert path.exists(), "nothing is moved where that helps nobody"


def test_a_checkpoint_of_before_digests_is_loaded_and_that_is_logged(
    finished: RunFolder, stopped: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stopped.checkpoint_dir / "step-11" / ".metadata"
    metadata = pickle.loads(path.read_bytes())
    for place in metadata.storage_data.values():
        del place.xxh3
    path.write_bytes(pickle.dumps(metadata))
    assert read_metadata(path)[1] is False
    assert worker.main(stopped.path) == worker.FINISHED
    assert "step-11 has no digests" in capsys.readouterr().err
    assert values(stopped, "train_loss") == values(finished, "train_loss")
