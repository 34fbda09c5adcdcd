"""Folders that `save_to_disk` wrote are read where they lie, split by split."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from tests.data.read import FILES, read, texts_of
from workbench.errors import InputError

CASE = FILES / "hf-saved-to-disk"


def save(folder: Path, *shards: list[str | None], **state: object) -> Path:
    """A Dataset as `save_to_disk` lays it out: Arrow streams and a list of them."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05}-of-{len(shards):05}.arrow" for i in range(len(shards))]
    for name, texts in zip(names, shards, strict=True):
        table = pa.table({"text": texts, "n": range(len(texts))})
        with (
            pa.OSFile(str(folder / name), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as w,
        ):
            w.write_table(table, max_chunksize=2)
    files = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": None, **state}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_a_dataset_and_a_dict_of_splits_are_read_by_either_name() -> None:
    texts = texts_of(CASE / "saved")
    assert len(texts) == 80
    for corpus in (f"hf:{CASE}/saved", f"hf:{CASE}/saved-dict", f"hf:{CASE}/saved-dict:train"):
        assert texts_of(corpus) == texts


def test_shards_are_read_in_their_order_and_nulls_left_out(tmp_path: Path) -> None:
    saved = save(tmp_path / "s", ["b", None, "c"], ["a"])
    texts, counts = read(saved)
    assert texts == ["b", "c", "a"]
    assert counts.left_out == {"null": 1}


def test_a_split_is_train_the_only_one_or_named(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    for split in ("test", "train"):
        save(folder / split, [split], _split=split)
    (folder / "dataset_dict.json").write_text('{"splits": ["test", "train"]}')
    assert texts_of(folder) == ["train"]
    assert texts_of(f"hf:{folder}:test") == ["test"]
    with pytest.raises(InputError, match=r'no split "validation"; splits are test, train'):
        texts_of(f"hf:{folder}:validation")
    with pytest.raises(InputError, match=r'one Dataset, without a split "train"'):
        texts_of(f"hf:{folder}/test:train")
    (folder / "dataset_dict.json").write_text('{"splits": ["test"]}')
    assert texts_of(folder) == ["test"]


def test_what_is_not_all_there_is_refused_by_name(tmp_path: Path) -> None:
    saved = save(tmp_path / "a", ["x"], ["y"])
    (saved / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(InputError, match=r"data-00001-of-00002\.arrow is missing"):
        texts_of(saved)
    chosen = save(tmp_path / "b", ["x"], _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(InputError, match="flatten_indices"):
        texts_of(chosen)
    cut = save(tmp_path / "c", ["some text"] * 50)
    path = cut / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"data-00000-of-00001\.arrow: no Arrow file"):
        texts_of(cut)
    (cut / "state.json").write_text("{")
    with pytest.raises(InputError, match=r"state\.json: cannot be read"):
        texts_of(cut)


def test_no_file_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    outside = save(tmp_path / "outside", ["secret"])
    shutil.move(outside / "data-00000-of-00001.arrow", tmp_path / "secret.arrow")
    inside = save(tmp_path / "inside", ["x"], _data_files=[{"filename": "../secret.arrow"}])
    with pytest.raises(InputError, match=r"inside/secret\.arrow is missing"):
        texts_of(inside)
