"""Which files a path or a glob names, and which files of a folder are passed over."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from workbench.data.opening import format_of
from workbench.data.readers import IN_FOLDERS, READERS
from workbench.data.reading import Counts
from workbench.data.token_shards import is_token_shard, shard_of_prefix
from workbench.errors import InputError
from workbench.runs.paths import globbed

_NO_ENDING = "no ending"
_HIDDEN = "hidden"
_LINKED = "links to folders"
_ARCHIVES = (".tar", ".tgz", ".zip", ".7z", ".rar")


def files_of(pattern: str, suffixes: Sequence[str] | None, counts: Counts) -> list[Path]:
    """The files of a path or glob, in the order of their names; none where nothing is there.

    Args:
        suffixes: endings to read a folder's files of, and to take for text where they have no
            format of their own.
        counts: `passed_over` is filled for a folder.

    Raises:
        InputError: a file is of a type that is not read, or a folder has none of those that are.
    """
    path = Path(pattern).expanduser()
    listed = [suffix.lower() for suffix in suffixes or ()]
    if path.is_dir():
        return _of_folder(path, listed or IN_FOLDERS, counts)
    names = [path] if path.exists() else globbed(path)
    files = sorted(filter(Path.is_file, names))
    shard = None if files else shard_of_prefix(path)
    files = [shard] if shard else files
    if path.exists() and not files:
        raise InputError(f"data.corpus: {path}: neither a file nor a folder.")
    # The index beside a token shard is read with it.
    files = [file for file in files if format_of(file) != ".idx" or len(files) == 1]
    for file in files:
        if format_of(file) not in (*READERS, *listed) and not is_token_shard(file):
            raise InputError(
                f'data.corpus: {file}: files of type "{format_of(file)}" are not read. Types are '
                f"{', '.join(READERS)}, each also as .gz, .zst, .bz2 or .xz, and token shards as "
                f".bin. {_way_out(format_of(file))}"
            )
    return files


def _way_out(ending: str) -> str:
    if ending in _ARCHIVES:
        return "Unpack the archive, and give the folder."
    if ending:
        return f'Where it is text: data.suffixes = ["{ending}"].'
    return "Where it is text: add .txt to its name."


def _of_folder(folder: Path, wanted: Sequence[str], counts: Counts) -> list[Path]:
    """The files below a folder with one of the endings; hidden ones are passed over, as are
    hidden folders, for editors and notebooks leave old copies there."""
    files = []
    counts.passed_over.clear()
    for place, inner, names in os.walk(folder, onerror=_refuse):
        linked = sum(os.path.islink(Path(place, name)) for name in inner if name[0] != ".")
        counts.passed_over[_LINKED] += linked  # they may lead around in circles
        counts.passed_over[_HIDDEN] += sum(name.startswith(".") for name in (*inner, *names))
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in names:
            if name.startswith("."):
                continue
            kind = format_of(Path(name))
            if kind in wanted:
                files.append(Path(place, name))
            else:
                counts.passed_over[kind or _NO_ENDING] += 1
    counts.passed_over += Counter()  # without what is zero
    if not files:
        there = ", ".join(f"{n} {kind}" for kind, n in counts.passed_over.most_common(6))
        raise InputError(
            f"data.corpus: {folder}: no {', '.join(wanted)} file in this folder"
            + (
                f"; it has {there}. Say which to read: data.suffixes = "
                f'["{_first_ending(counts)}"], or a glob.'
                if there
                else ", which is empty."
            )
        )
    return sorted(files)


def _refuse(error: OSError) -> None:
    raise InputError(f"data.corpus: {error.filename}: cannot be read: {error.strerror}.")


def _first_ending(counts: Counts) -> str:
    kinds = (kind for kind, _ in counts.passed_over.most_common() if kind.startswith("."))
    return next(kinds, ".txt")
