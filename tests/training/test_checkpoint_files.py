"""Checkpoints are read as data, and compared with what was written."""

import io
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata

from workbench.training.checkpoint_files import DigestingWriter
from workbench.training.checkpoint_metadata import digest, pickled, read_metadata
from workbench.training.checkpoints import cause, damage, load_checked

warnings.filterwarnings("ignore", message="torch.distributed is disabled")
PART = "__0_0.distcp"


def state() -> dict[str, Any]:
    return {"weight": torch.zeros(2, 3), "step": 0, "rates": {"lr": [0.0]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = {"weight": torch.arange(6.0).view(2, 3), "step": 7, "rates": {"lr": [0.5]}}
    dcp.save(written, storage_writer=DigestingWriter(tmp_path / "step-1"), no_dist=True)
    return tmp_path / "step-1"


def refused(folder: Path) -> str:
    """What is said of a damaged checkpoint."""
    with pytest.raises(CheckpointException) as raised:
        load_checked(state(), folder, alone=True)
    assert damage(raised.value) is not None, cause(raised.value)
    return cause(raised.value)


def test_what_was_written_is_read_again_by_us_and_by_dcp_itself(folder: Path) -> None:
    ours, theirs = state(), state()
    assert load_checked(ours, folder, alone=True) is True
    dcp.load(theirs, checkpoint_id=folder, no_dist=True)
    for read in (ours, theirs):
        assert torch.equal(read["weight"], torch.arange(6.0).view(2, 3))
        assert (read["step"], read["rates"]) == (7, {"lr": [0.5]})


def test_a_checkpoint_by_dcp_is_read_and_known_to_have_no_digests(tmp_path: Path) -> None:
    dcp.save(state() | {"step": 7}, checkpoint_id=tmp_path, no_dist=True)
    read = state()
    assert load_checked(read, tmp_path, alone=True) is False
    assert read["step"] == 7


def test_no_bit_of_what_is_loaded_may_differ(folder: Path) -> None:
    path = folder / PART
    content, metadata = path.read_bytes(), read_metadata(folder / ".metadata")[0]
    for index, place in metadata.storage_data.items():
        for at in range(place.offset, place.offset + place.length, 97):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            assert f"{path}: {index.fqn} is not what was written" in refused(folder)


def test_no_bit_of_the_metadata_may_differ(folder: Path) -> None:
    path = folder / ".metadata"
    content = path.read_bytes()
    for at in range(0, len(content), 53):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert str(path) in refused(folder)
    path.write_bytes(content[: len(content) - 20])  # digests without the one of the whole
    assert "digests are missing" in refused(folder)


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, ran: Path, call: Callable[..., Any] = os.mkdir) -> None:
        self.ran, self.call = ran, call

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        words = str(self.ran)
        return self.call, (f"__import__('os').mkdir({words!r})" if self.call is eval else words,)


def archive(content: object) -> bytes:
    made = io.BytesIO()
    torch.save(content, made)
    return made.getvalue()


def changed(path: Path, change: Callable[[Metadata], object]) -> None:
    """Change the metadata, its digest too: whoever means harm can do that."""
    metadata = pickle.loads(path.read_bytes())
    change(metadata)
    path.write_bytes(pickled(metadata))


def with_archive(path: Path, name: str, content: bytes) -> None:
    part = path.with_name(PART)

    def place(metadata: Metadata) -> None:
        for index, one in metadata.storage_data.items():
            if index.fqn == name:
                one.offset, one.length = part.stat().st_size, len(content)
                one.xxh3 = digest(content)

    changed(path, place)
    part.write_bytes(part.read_bytes() + content)


def each_place(**values: Any) -> Callable[[Metadata], None]:
    def change(metadata: Metadata) -> None:
        for place in metadata.storage_data.values():
            place.__dict__.update(values)

    return change


# `os.system`, reached through the attributes of a module that may be named.
_MODULE = b"torch.distributed.checkpoint.filesystem"
_CALL = b"\x8c\x08os.mkdir\x93\x8c\x04gone\x85R."
_NESTED = b"\x80\x04\x8c" + bytes([len(_MODULE)]) + _MODULE + _CALL


HOSTILE: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a pickle that runs a function": (
        lambda path, ran: path.write_bytes(pickle.dumps(Runs(ran))), "names posix.mkdir"),
    "one that evaluates": (
        lambda path, ran: path.write_bytes(pickle.dumps(Runs(ran, eval))), "names builtins.eval"),
    "an old protocol": (
        lambda path, ran: path.write_bytes(pickle.dumps(Runs(ran), protocol=0)), "mkdir"),
    "a nested name": (lambda path, _: path.write_bytes(_NESTED), "names torch.*os.mkdir"),
    "beside the places": (
        lambda path, ran: changed(path, lambda one: setattr(one, "planner_data", Runs(ran))),
        "which no checkpoint needs"),
    "in a tensor's archive": (
        lambda path, ran: with_archive(path, "weight", archive(Runs(ran))),
        "weight cannot be read"),
    "in a value's archive": (
        lambda path, ran: with_archive(path, "step", archive(Runs(ran))),
        "step cannot be read"),
    "a value that is no archive": (
        lambda path, ran: with_archive(path, "step", pickle.dumps(Runs(ran))),
        "step cannot be read"),
    "a value for a tensor": (
        lambda path, _: with_archive(path, "weight", archive(7)), "weight is no tensor"),
    "a tensor of another shape": (
        lambda path, _: with_archive(path, "weight", archive(torch.zeros(5))), "another shape"),
    "a file of another folder": (
        lambda path, _: changed(path, each_place(relative_path="../step-2/__0_0.distcp")),
        "lies in no file of the checkpoint"),
    "a file anywhere": (
        lambda path, _: changed(path, each_place(relative_path="/etc/passwd.distcp")),
        "lies in no file of the checkpoint"),
    "a place beyond the file": (
        lambda path, _: changed(path, each_place(length=2**62)), "cut short"),
    "a place before the file": (
        lambda path, _: changed(path, each_place(offset=-5)), "no whole number"),
    "a list": (lambda path, _: path.write_bytes(pickle.dumps([])), "not a checkpoint's metadata"),
    "brackets": (lambda path, _: path.write_bytes(b"\x80\x04" + b"]" * 10_000 + b"."),
                 "not a checkpoint's metadata"),
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
def test_nothing_in_a_checkpoint_runs_or_leads_out_of_it(
    how: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    shutil.copytree(folder, folder.with_name("step-2"))
    act, message = HOSTILE[how]
    act(folder / ".metadata", folder.parent / "ran")
    said = refused(folder)
    assert str(folder) in said
    for part in message.split(".*"):
        assert part in said
    assert sorted(path.name for path in folder.parent.iterdir()) == ["step-1", "step-2"]


def test_what_a_pickle_sets_on_a_class_stays_on_no_class_of_ours(folder: Path) -> None:
    before = dict(vars(Metadata))
    # BUILD with a pair sets attributes of whatever lies on the stack: here of the class itself.
    name = b"ctorch.distributed.checkpoint.metadata\nMetadata\n"
    (folder / ".metadata").write_bytes(name + b"(N}(Vversion\nVbroken\nutb.")
    refused(folder)
    assert dict(vars(Metadata)) == before


@pytest.mark.parametrize("name", [".metadata", PART])
def test_links_and_fifos_are_no_files_of_a_checkpoint(folder: Path, name: str) -> None:
    path = folder / name
    elsewhere = folder.parent / "elsewhere"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)
    assert f"{path}: cannot be read (is a link, which is not followed)" in refused(folder)
    path.unlink()
    os.mkfifo(path)
    assert f"{path}: cannot be read (is no file)" in refused(folder)


def test_writing_a_checkpoint_changes_no_file_that_another_run_shares(folder: Path) -> None:
    """Runs on one trunk have its checkpoint's files as hard links."""
    other = folder.parent / "other.distcp"
    os.link(folder / PART, other)
    before = other.read_bytes()
    (folder / ".metadata").unlink()
    (folder / ".metadata.tmp").symlink_to(folder.parent / "outside")
    dcp.save(state(), storage_writer=DigestingWriter(folder), no_dist=True)
    assert other.read_bytes() == before
    assert not (folder.parent / "outside").exists()
    assert load_checked(state(), folder, alone=True) is True
