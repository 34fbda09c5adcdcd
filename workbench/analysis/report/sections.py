"""What a report is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workbench.analysis.figures import Figure
from workbench.errors import InputError


@dataclass(frozen=True)
class Section:
    """A heading with text, a table, a figure, and the SQL that its numbers come from."""

    title: str
    text: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    figure: Figure | None = None
    sql: str = ""
    level: int = 2


@dataclass(frozen=True)
class Report:
    """A study's report: head matter and sections in order."""

    study: str
    question: str
    source: str
    verdicts: tuple[str, ...]
    sections: tuple[Section, ...] = ()
    missing: tuple[str, ...] = field(default=())


def attempt(make: Callable[[], Section | None], missing: list[str]) -> Section | None:
    """A section, or a line on why the study has none."""
    try:
        return make()
    except InputError as error:
        missing.append(str(error))
        return None


def literal(text: str) -> str:
    """A string in SQL."""
    return "'" + text.replace("'", "''") + "'"
