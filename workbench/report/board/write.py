"""A board as files: all of them worked out first, then written; an earlier board is replaced."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workbench import stages
from workbench.arguments import public
from workbench.errors import InputError, WorkbenchError
from workbench.report.board.blocks import Page, render
from workbench.report.board.crossovers_page import crossovers_page
from workbench.report.board.exports import Export, find_exports
from workbench.report.board.forecasts_page import forecasts_page
from workbench.report.board.losses_page import compute_page, data_page
from workbench.report.board.overview import index_page, reproduced_page
from workbench.report.board.site import INDEX, Site, read_site, reading
from workbench.report.board.study_page import study_page
from workbench.runs.files import replacing
from workbench.version import __version__

LIST = "_board.json"
"""The file that names what a board has written: what else lies in its folder is not its own."""


@public
@dataclass(frozen=True)
class Board:
    """A board that was written."""

    folder: Path
    page: Path
    """Its first page."""
    exports: tuple[str, ...]
    studies: int
    runs: int
    """Different runs: one of several exports counts once."""
    crossovers: int
    losses: int
    """Best losses of configurations at equal data, and at equal compute, that it has read."""
    forecasts: int
    """Those that were scored."""
    reproduced: int
    """Runs of several exports."""
    unequal: int
    """Of those, how many differ in a value."""
    pages: tuple[str, ...]
    notes: tuple[str, ...]
    """Folders that were left out, a line each."""

    @property
    def text(self) -> str:
        """What stands in it, in words."""
        unequal = f", {self.unequal} of them not equal" if self.unequal else ""
        return (
            f"{len(self.pages)} pages of {len(self.exports)} exports "
            f"({', '.join(self.exports)}): {self.studies} studies, {self.runs:,} runs, "
            f"{self.crossovers} crossovers, {self.losses:,} losses, {self.forecasts} forecasts "
            f"scored, {self.reproduced} runs reproduced{unequal}."
        )


def write_board(places: Sequence[str | Path], out: Path) -> Board:
    """Write a static site of exports: crossovers, best losses at equal data and at equal compute,
    forecasts, and a page a study with its recipe, runs and versions.

    Args:
        places: datasets of `workbench export parquet`, or folders of several.
        out: the folder of the site, which is made; an earlier board in it is replaced.

    Raises:
        InputError: no export, one that is damaged or of a newer workbench, two of one name, or
            `out` has other files. Nothing is written.
        WorkbenchError: the files cannot be written.
    """
    exports, notes = find_exports(places)
    old = _files_of(out, exports)
    site = read_site(exports)
    pages = _pages(site)
    stages.doing("writing the pages")
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    made = f"Made {now} by workbench {__version__} from exports of results."
    shown = [page for page in pages if not page.file.startswith("study--")]
    texts = {page.file: render(page, shown, made) for page in pages}
    _write(out, texts, old)
    unequal = {one.run_id for one in site.shared if one.unequal}
    return Board(
        folder=out,
        page=out / INDEX,
        exports=tuple(export.name for export in exports),
        studies=len(site.files),
        runs=len({run for runs in site.runs.values() for run in runs}),
        crossovers=len(site.crossovers),
        losses=len(site.losses) + len(site.within),
        forecasts=sum(len(scores.rows) for scores in site.scores.values()),
        reproduced=len({one.run_id for one in site.shared}),
        unequal=len(unequal),
        pages=tuple(texts),
        notes=tuple(notes),
    )


def _pages(site: Site) -> list[Page]:
    """Every page; those of studies last, for they have what the others lead to."""
    pages = [
        index_page(site),
        crossovers_page(site),
        data_page(site),
        compute_page(site),
        forecasts_page(site),
        reproduced_page(site),
    ]
    for export in site.exports:
        with reading(export):
            for row in export.studies:
                stages.doing(f"{export.name}: drawing {row['study']}")
                pages.append(study_page(site, export, row))
    return pages


def _files_of(out: Path, exports: Sequence[Export]) -> list[str]:
    """The files of the board that a folder has already.

    Raises:
        InputError: it has others, or is no folder, or lies inside an export.
    """
    whole = out.resolve()
    for export in exports:
        if whole.is_relative_to(export.folder.resolve()):
            raise InputError(
                f"--out {out}: lies inside the export {export.folder}, which is only read. Give "
                "another folder."
            )
    if not out.exists():
        return []
    if not out.is_dir():
        raise InputError(f"--out {out}: is a file. Give a folder.")
    there = {path.name for path in out.iterdir()}
    own = _listed(out / LIST) if LIST in there else []
    others = sorted(there - {*own, LIST})
    if others:
        raise InputError(
            f"--out {out}: has files that no board has written, such as {others[0]}. Give an empty "
            "folder, or a new one. Nothing was written."
        )
    return [name for name in own if name in there]


def _listed(path: Path) -> list[str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["pages"]
        return [name for name in names if isinstance(name, str) and "/" not in name]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # not a board's list: then its files are others


def _write(out: Path, texts: dict[str, str], old: Sequence[str]) -> None:
    """Write the pages, the list of them first: what is named there may be replaced next time."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        every = sorted({*texts, *old})
        _put(out / LIST, json.dumps({"pages": every}, indent=1) + "\n")
        for name, text in texts.items():
            _put(out / name, text)
        for name in set(old) - set(texts):
            (out / name).unlink(missing_ok=True)
        _put(out / LIST, json.dumps({"pages": sorted(texts)}, indent=1) + "\n")
    except OSError as error:
        raise WorkbenchError(f"{out}: cannot be written: {error.strerror}.") from error


def _put(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
