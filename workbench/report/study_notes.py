"""What studies mean, in the words of a person: the notes of a Markdown document.

A notes file is TOML with one table a study. Its keys are paragraphs, what the tables show, and as
`[[STUDY.tables]]` further ones (`report.asked_tables`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.conditions import Conditions, parse_conditions
from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.report.asked_tables import AskedTable
from workbench.toml_text import parse_toml

HEADINGS = {
    "agrees": "Agrees with the claim.",
    "differs": "Does not agree.",
    "why": "Likeliest reason.",
    "more": "",
}
"""The paragraphs that a study can have, in this order, and what stands before them."""
_CHOICES = ("metrics", "where")
_TABLES = "tables"


@dataclass(frozen=True)
class StudyNotes:
    """One study's paragraphs, and what its tables are to show."""

    paragraphs: tuple[tuple[str, str], ...] = ()
    metrics: tuple[str, ...] = ()
    """The metrics to cover, if not all."""
    where: Conditions = field(default=())
    """The configurations that the tables show, if not all."""
    tables: tuple[AskedTable, ...] = ()
    """Further tables."""

    def chosen(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows whose "group" meets the conditions.

        Raises:
            InputError: a condition is on a key in which no group differs.
        """
        keys = sorted({key for row in groups for key in row["group"]})
        for condition in self.where:
            if groups and condition.column not in keys:
                raise InputError(
                    f"notes: where = {condition}: the configurations do not differ in "
                    f"{condition.column}{suggestion(condition.column, keys) or '.'} "
                    f"They do in {', '.join(keys)}."
                )
        return [
            row
            for row in groups
            if all(one.holds(row["group"].get(one.column)) for one in self.where)
        ]


def read_notes(path: Path | None, studies: list[str]) -> dict[str, StudyNotes]:
    """The notes on each of the studies that has some.

    Raises:
        InputError: the file cannot be read, or has unknown keys or conditions.
    """
    if path is None:
        return {}
    try:
        document = parse_toml(path.read_text(encoding="utf-8"), f"--notes {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--notes {path}: cannot be read: {error}.") from None
    return {
        study: notes
        for study, table in document.items()
        if (notes := _notes(path, study, table)) and study in studies
    }


def _notes(path: Path, study: str, table: Any) -> StudyNotes:
    texts = dict(table) if isinstance(table, dict) else {}
    asked = texts.pop(_TABLES, [])
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in texts.values()):
        raise InputError(f"--notes {path}: {study}: expected a table of texts.")
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise InputError(f"--notes {path}: {study}.{_TABLES}: expected [[{study}.{_TABLES}]].")
    known = (*HEADINGS, *_CHOICES, _TABLES)
    for key in table:
        if key not in known:
            raise InputError(
                f"--notes {path}: {study}.{key}: unknown{suggestion(key, known) or '.'} "
                f"Keys are {', '.join(known)}."
            )
    metrics = [name.strip() for name in table.get("metrics", "").split(",")]
    where = [table["where"]] if "where" in table else None
    return StudyNotes(
        paragraphs=tuple((HEADINGS[key], table[key]) for key in HEADINGS if key in table),
        metrics=tuple(filter(None, metrics)),
        where=parse_conditions(where, f"--notes {path}: {study}.where"),
        tables=tuple(
            AskedTable.read(one, f"--notes {path}: {study}.{_TABLES}[{place}]")
            for place, one in enumerate(asked, 1)
        ),
    )
