"""Data sets that Hugging Face's `save_to_disk` wrote, read where they lie."""

import json
from pathlib import Path
from typing import Any

from workbench.errors import InputError

_DATASET, _DICT = "state.json", "dataset_dict.json"


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`, of a Dataset or a DatasetDict."""
    return (folder / _DATASET).is_file() or (folder / _DICT).is_file()


def saved_files(folder: Path, split: str | None) -> list[Path]:
    """The Arrow files of a saved Dataset, or of one split of a DatasetDict, in their order.

    Args:
        split: None for `train`, or for the only one.

    Raises:
        InputError: there is no such split, or a file of it is missing.
    """
    if (folder / _DICT).is_file():
        splits = [str(name) for name in _read(folder / _DICT).get("splits", [])]
        chosen = split or (splits[0] if len(splits) == 1 else "train")
        if chosen not in splits:
            raise InputError(
                f'data.corpus: {folder}: no split "{chosen}"; splits are {", ".join(splits)}. '
                f"Name one: hf:{folder}:SPLIT."
            )
        return saved_files(folder / Path(chosen).name, None)
    state = _read(folder / _DATASET)
    if split not in (None, state.get("_split")):
        raise InputError(
            f'data.corpus: {folder} is one Dataset, without a split "{split}": name the folder '
            "alone."
        )
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise InputError(
            f"data.corpus: {folder}: rows are chosen by a list beside them. Save the Dataset "
            "again, after flatten_indices()."
        )
    # A file's name is taken, not a path that leads elsewhere.
    files = [folder / Path(str(file["filename"])).name for file in state.get("_data_files", [])]
    for file in files:
        if not file.is_file():
            raise InputError(f"data.corpus: {file} is missing: {folder / _DATASET} names it.")
    return files


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(document, dict):
            return document
        error: Exception | str = "no object"
    except (OSError, ValueError, RecursionError) as problem:
        error = problem
    raise InputError(f"data.corpus: {path}: cannot be read ({error}).")
