"""The exports that a board is made from: datasets of `workbench export parquet`, only ever read."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.store import query
from workbench.store.parquet.layout import is_dataset
from workbench.store.publish import without_folders
from workbench.store.source import source_folder


@dataclass(frozen=True)
class Export:
    """One dataset, by the name of its folder."""

    name: str
    folder: Path

    def ask(self, sql: str) -> list[dict[str, Any]]:
        """The rows that answer a question of it.

        Raises:
            InputError: the dataset is damaged, or of a newer workbench.
        """
        return query(self.folder, sql).to_dicts()

    @cached_property
    def studies(self) -> list[dict[str, Any]]:
        """Its studies, without folders of anybody's machine: study, question, source, recipe."""
        rows = self.ask("SELECT study, question, source, recipe FROM studies ORDER BY study")
        return [
            {
                "study": row["study"] or "",
                **{name: without_folders(row[name] or "") for name in row if name != "study"},
            }
            for row in rows
        ]


def find_exports(places: Sequence[str | Path]) -> tuple[list[Export], list[str]]:
    """The exports of folders, each an export itself or a folder of several, in the order of their
    names; and a line for each folder beside them that is none.

    Args:
        places: folders, URLs of datasets, or `shipped`.

    Raises:
        InputError: a place that is no folder or has no export, or two exports of one name.
    """
    found: list[Export] = []
    notes: list[str] = []
    for place in places:
        own, others = _in(place)
        if not own:
            raise InputError(
                f"{place}: no export of results. `workbench export parquet {place}/NAME --results "
                "RESULTS` writes one of a results folder."
            )
        found += own
        notes += [f"{folder}: no export of results; left out." for folder in others]
    _refuse_one_name(found)
    return sorted(found, key=lambda export: export.name), notes


def _in(place: str | Path) -> tuple[list[Export], list[Path]]:
    """A place's exports, and its other folders."""
    given = str(place)
    folder = source_folder(place)
    if is_dataset(folder):
        name = folder.resolve().name if given == "shipped" else Path(given).name
        return [Export(name if name not in ("", "..") else folder.resolve().name, folder)], []
    if not folder.is_dir():
        raise InputError(f"{place}: no such folder.")
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    exports = [Export(path.name, path) for path in inside if is_dataset(path)]
    named = {export.folder for export in exports}
    return exports, [path for path in inside if path not in named]


def _refuse_one_name(exports: list[Export]) -> None:
    """Refuse two exports of one name, which no reader of the board could tell from each other.

    Raises:
        InputError: there are two; names that differ in capitals alone count as one.
    """
    first: dict[str, Export] = {}
    for export in exports:
        other = first.setdefault(export.name.casefold(), export)
        if other is not export:
            raise InputError(
                f"two exports are called {export.name}: {other.folder} and {export.folder}. "
                "Rename one of the folders, or give one of them."
            )
