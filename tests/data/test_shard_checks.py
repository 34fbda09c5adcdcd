"""Damaged data is found at every start of training, and what was checked is not read again."""

import json
import os
import time
from pathlib import Path

import pytest

from workbench.data import PreparedData, shard_checks
from workbench.data.preparation import prepare
from workbench.data.shard_checks import check_run_data, check_shards
from workbench.errors import InputError
from workbench.recipe import DataConfig


@pytest.fixture
def prepared(corpus: Path, tmp_path: Path) -> PreparedData:
    data = DataConfig(
        corpus=str(corpus), document="blank-line", unique_tokens=512, seq_len=32,
        validation_tokens=512,
    )  # fmt: skip
    return prepare(data, tmp_path)


@pytest.mark.parametrize("name", ["train.bin", "held_out.bin", "held_out_documents.npy"])
def test_a_flipped_bit_is_found_whatever_time_the_file_claims(
    name: str, prepared: PreparedData
) -> None:
    check_shards(prepared)
    path = prepared.folder / name
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(InputError, match=r"is damaged.*run the recipe again"):
            check_shards(prepared)


def test_what_was_checked_is_read_again_after_a_day_and_when_the_clock_went_back(
    prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def reading(folder: Path, identity: str) -> str:
        read.append(folder)
        return prepared.fingerprint

    monkeypatch.setattr(shard_checks, "fingerprint", reading)
    for hours, expected in ((0, 1), (0, 1), (23, 1), (25, 2), (-1, 3)):
        now = time.time() + 3600 * hours
        with monkeypatch.context() as patched:
            patched.setattr(shard_checks.time, "time", lambda now=now: now)
            check_shards(prepared)
        assert len(read) == expected
    for remembered in ("{", "[]", json.dumps({"at": "x"})):
        (prepared.folder / "checked.json").write_text(remembered)
        check_shards(prepared)
    assert len(read) == 6


def test_data_of_before_there_were_digests_is_checked_and_read(prepared: PreparedData) -> None:
    path = prepared.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["digest"]
    path.write_text(json.dumps(manifest))
    check_shards(PreparedData.open(prepared.folder))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("held_out_bytes", 7), ("dtype", "object"), ("parts", {"../../train": 1}),
        ("vocabulary", {"size": 1}), ("train_tokens", float("nan")), ("tokenizer", "another"),
    ],
)  # fmt: skip
def test_a_changed_manifest_is_refused(key: str, value: object, prepared: PreparedData) -> None:
    path = prepared.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(InputError, match=r"manifest.json: cannot be read.*Remove the folder"):
        PreparedData.open(prepared.folder)


def test_data_of_another_run_is_refused(prepared: PreparedData, tmp_path: Path) -> None:
    folder = str(prepared.folder.relative_to(tmp_path))
    right = {"folder": folder, "fingerprint": prepared.fingerprint}
    check_run_data(tmp_path, right)
    with pytest.raises(InputError, match="other data than the run was made for"):
        check_run_data(tmp_path, {**right, "fingerprint": "f" * 64})
    extra = {"web": {"folder": folder, "fingerprint": "0" * 64}}
    with pytest.raises(InputError, match="other data than the run was made for"):
        check_run_data(tmp_path, {**right, "validation_extra": extra})
