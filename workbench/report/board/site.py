"""The site as a whole: what its exports have, and where each of its pieces stands."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from workbench import stages
from workbench.analysis.forecast_scores import Scores, score_forecasts
from workbench.errors import InputError
from workbench.report.board.answers import Answer, answer_of
from workbench.report.board.blocks import Cell
from workbench.report.board.exports import Export
from workbench.report.board.likeness import Number
from workbench.report.board.numbers import (
    budgets_of,
    crossovers_of,
    losses_of,
    losses_within,
)
from workbench.report.board.reproduced import Reproduced, reproduced
from workbench.report.board.runs import Run, runs_of, studies_runs
from workbench.store.query import open_once

Place = tuple[str, str]
"""An export's name and a study's."""
INDEX, CROSSOVERS, DATA, COMPUTE, FORECASTS, REPRODUCED = (
    "index.html", "crossovers.html", "equal-data.html", "equal-compute.html", "forecasts.html",
    "reproduced.html",
)  # fmt: skip
_LONGEST = 60
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass
class Site:
    """What a board shows. Cells that lead to a number note it for the page of its study."""

    exports: list[Export]
    runs: dict[str, dict[str, Run]]
    """Of each export, by their ids."""
    members: dict[Place, list[str]]
    """The ids of each study's runs."""
    crossovers: list[Number]
    losses: list[Number]
    within: list[Number]
    scores: dict[Place, Scores]
    shared: list[Reproduced]
    files: dict[Place, str]
    """The page of each study."""
    answers: dict[Place, Answer] = field(default_factory=dict)
    """What each study has found."""
    linked: dict[Place, list[Number]] = field(default_factory=dict)
    """The numbers that the board shows, in the order of their first link."""

    def number(self, number: Number, text: str) -> Cell:
        """A number as a cell that leads to what it was made from."""
        place = number.export, number.study
        own = self.linked.setdefault(place, [])
        index = next((i for i, one in enumerate(own) if one is number), len(own))
        if index == len(own):
            own.append(number)
        return Cell(text, f"{self.files[place]}#n{index + 1}")

    def study(self, place: Place, text: str = "") -> Cell:
        return Cell(text or place[1], self.files[place])

    def run(self, place: Place, run_id: str, text: str = "") -> Cell:
        """A cell that leads to a run in the table of its study."""
        return Cell(text or run_id, f"{self.files[place]}#{self.anchor(place, run_id)}")

    def anchor(self, place: Place, run_id: str) -> str:
        """The name of a run's row, which a link can have whatever the run is called."""
        name = run_id if _PLAIN.fullmatch(run_id) else f"{self.members[place].index(run_id)}"
        return f"run-{name}"

    def agreement(self, number: Number) -> str:
        """Which of a number's runs another export has too, and whether with the same values."""
        lines = []
        for export in self.exports:
            own = [
                one for one in self.shared
                if {number.export, export.name} == set(one.exports) and export.name != number.export
                and one.run_id in number.every_run
            ]  # fmt: skip
            if own:
                unequal = sum(one.unequal for one in own)
                equal = all(one.equal for one in own)
                known = "equal values" if equal else "not all have numbers in common"
                came = f"{unequal} not equal" if unequal else known
                lines.append(f"{len(own)} with {export.name}: {came}")
        return "; ".join(lines)


def read_site(exports: Sequence[Export]) -> Site:
    """All that the board is made of, read and worked out; nothing is written.

    Raises:
        InputError: an export is damaged, of a newer workbench, or holds what no workbench writes.
    """
    site = Site(list(exports), {}, {}, [], [], [], {}, [], {})
    for export in exports:
        with reading(export):
            _read(site, export)
    budgets = budgets_of(exports)
    for export in exports:
        with reading(export):
            _work_out(site, export, budgets)
    stages.doing("runs that several exports have")
    site.shared = reproduced(exports, site.runs)
    return site


@contextmanager
def reading(export: Export) -> Iterator[None]:
    """Ask an export, whose content may be anything, through one connection inside the block.

    Raises:
        InputError: it holds what no workbench writes.
    """
    try:
        with open_once(export.folder):
            yield
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{export.folder}: has content that no workbench writes "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). "
            "Export it again with `workbench export parquet`, or leave it out."
        ) from error


def _read(site: Site, export: Export) -> None:
    stages.doing(f"{export.name}: runs")
    site.runs[export.name] = runs_of(export)
    members = studies_runs(export)
    taken = set(site.files.values())
    for row in export.studies:
        place = export.name, str(row["study"])
        known = members.get(place[1], [])
        site.members[place] = [run for run in known if run in site.runs[export.name]]
        site.files[place] = _file(place, taken)
        taken.add(site.files[place])


def _file(place: Place, taken: set[str]) -> str:
    """A name for a study's page that no other has, whatever letters the names are of."""
    words = [re.sub(r"[^a-z0-9]+", "-", name.casefold())[:_LONGEST].strip("-") for name in place]
    name = "study--" + "--".join(words)
    names = [f"{name}.html", *(f"{name}-{count}.html" for count in range(2, len(taken) + 3))]
    return next(one for one in names if one not in taken)


def _work_out(site: Site, export: Export, budgets: list[float]) -> None:
    runs = site.runs[export.name]
    for row in export.studies:
        study = row["study"]
        stages.doing(f"{export.name}: {study}")
        found = crossovers_of(export, study, runs)
        site.crossovers += found
        site.answers[export.name, study] = answer_of(export, study, found)
        site.losses += losses_of(export, study, runs)
        site.within += losses_within(export, study, runs, budgets)
    for row in export.ask("SELECT DISTINCT study FROM forecasts ORDER BY study"):
        if (export.name, row["study"]) in site.files:
            site.scores[export.name, row["study"]] = score_forecasts(export.folder, row["study"])
