"""Figures that somebody chose, as data: each is drawn by the functions that draw a study's figures,
and a list of them is a report of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.analysis.curves import only_runs
from workbench.api.results import Results
from workbench.errors import InputError
from workbench.figures import Figure, Paper
from workbench.messages import suggestion
from workbench.report.html import render
from workbench.report.sections import Report, Section, attempt
from workbench.report.write import write_page
from workbench.runs.notes import Note, read_notes


@dataclass(frozen=True)
class Chosen:
    """One figure: which, of which study, and with which options of `Study.figure`."""

    study: str
    figure: str
    options: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] | None = None
    """The options of `Study.fit`, for a figure of a fit."""
    runs: list[str] | None = None
    """The ids of the runs that it is drawn of; None for all of the study's."""
    text: str = ""
    """What its chooser says of it."""

    def document(self) -> dict[str, Any]:
        """The figure as a report keeps it, without what is empty."""
        whole = {"study": self.study, "figure": self.figure, "options": self.options}
        more = {"fit": self.fit, "runs": self.runs, "text": self.text}
        return {k: v for k, v in {**whole, **more}.items() if v}

    @classmethod
    def of(cls, document: dict[str, Any], origin: str) -> "Chosen":
        """The figure of a document.

        Raises:
            InputError: it is none.
        """
        kinds = {
            "study": str,
            "figure": str,
            "options": dict,
            "fit": dict,
            "runs": list,
            "text": str,
        }
        for name in ("study", "figure"):
            if name not in document:
                raise InputError(f"{origin}: a figure needs {name}.")
        for name, value in document.items():
            if name not in kinds or not isinstance(value, kinds[name]):
                raise InputError(f"{origin}: a figure has no {name} = {value!r}.")
        return cls(**document)

    def draw(self, results: Path) -> Figure:
        """The figure as the store has it now.

        Raises:
            InputError: as `Study.figure` and `Study.fit`.
        """
        study = Results(results).study(self.study)
        with only_runs(self.runs):
            if self.fit is not None:
                return study.fit(**self.fit).figure(self.figure, **self.options).drawn
            return study.figure(self.figure, **self.options).drawn

    def python(self) -> str:
        """What draws it in a notebook."""
        of = "" if self.runs is None else f"  # of the runs {', '.join(self.runs)} alone"
        lines = f"study = wb.Results(...).study({self.study!r}){of}\nstudy"
        if self.fit is not None:
            lines += f".fit({_arguments(self.fit)})"
        return f"{lines}.figure({_arguments(self.options, repr(self.figure))})"


def _arguments(options: dict[str, Any], *first: str) -> str:
    return ", ".join([*first, *(f"{name}={value!r}" for name, value in options.items())])


def chosen_report(results: Path, name: str) -> Report:
    """The report of this name in the notes of a results folder: its figures with their texts.

    What cannot be drawn, as of a study that was removed, is listed under what is missing.

    Raises:
        InputError: there is no such report, or the notes are damaged.
    """
    notes = read_notes(results)
    note = notes.get(("report", name))
    if note is None:
        known = [other for kind, other in notes if kind == "report"]
        raise InputError(
            f"no report {name}{suggestion(name, known) or '.'} Reports here: "
            f"{', '.join(known) or 'none: choose figures in the app'}."
        )
    missing: list[str] = []
    sections = [
        attempt(lambda one=one: _section(results, one, f"report {name}"), missing)  # type: ignore[misc]
        for one in note.figures
    ]
    return Report(
        study=name,
        question=note.text,
        source="",
        verdicts=None,
        sections=tuple(section for section in sections if section is not None),
        missing=tuple(dict.fromkeys(missing)),
    )


def _section(results: Path, document: dict[str, Any], origin: str) -> Section:
    chosen = Chosen.of(document, origin)
    figure = chosen.draw(results)
    text = tuple(filter(None, (line.strip() for line in chosen.text.splitlines())))
    return Section(figure.title, text=text, figure=figure, python=chosen.python())


def chosen_page(results: Path, name: str) -> str:
    """The report as one HTML document.

    Raises:
        InputError: as `chosen_report`.
    """
    return render(chosen_report(results, name))


def write_chosen(results: Path, name: str, out: Path, *, paper: Paper | None = None) -> Path:
    """Write a report of chosen figures as one HTML file.

    Raises:
        InputError: as `chosen_report`, or the suffix is not .html.
        WorkbenchError: the file cannot be written.
    """
    return write_page(chosen_report(results, name), out, paper)


def figures_of(note: Note | None) -> Sequence[dict[str, Any]]:
    """The figures of a report; none of one that is not there."""
    return () if note is None else note.figures
