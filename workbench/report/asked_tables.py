"""Tables beside those that every study has, as a notes file asks for them: differences, effects,
best values, texts. Each is titled by the command that gives it."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from workbench.analysis.best_values import best_values
from workbench.analysis.bounds import bound_note, effect_bound_notes, ratio_bound_note
from workbench.analysis.crossover_effects import crossover_effect_row, crossover_effects
from workbench.analysis.difference import difference_table_row, differences
from workbench.analysis.effects import effects, variants
from workbench.analysis.interval_notes import notes_of
from workbench.analysis.pairing import parse_side
from workbench.analysis.table_rows import best_value_table_row, effect_table_row
from workbench.analysis.text_quality import MEASURES, text_notes, text_quality, text_table_row
from workbench.conditions import parse_conditions
from workbench.errors import InputError
from workbench.laws.best_value_law import best_value_laws
from workbench.laws.best_value_rows import law_notes, law_table
from workbench.messages import suggestion

Rows = list[dict[str, Any]]


class Kind(NamedTuple):
    """A kind of table."""

    command: str
    """What gives it on the command line, without the study and the options."""
    options: tuple[str, ...]
    make: Callable[..., tuple[Rows, list[str]]]
    """From results, study and options, the cells and what stands below them."""


@dataclass(frozen=True)
class AskedTable:
    """One table of a study: its kind, and the options of its command."""

    of: str
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, document: dict[str, Any], where: str) -> "AskedTable":
        """The table of a notes file's `[[STUDY.tables]]`.

        Raises:
            InputError: no such kind or option, or a value that is no text.
        """
        kind = KINDS.get(str(document.get("of")))
        if kind is None:
            raise InputError(f"{where}.of: expected one of {', '.join(KINDS)}.")
        options = {key: value for key, value in document.items() if key != "of"}
        for key, value in options.items():
            if key not in kind.options:
                raise InputError(
                    f"{where}.{key}: unknown{suggestion(key, kind.options) or '.'} Options of "
                    f"{document['of']} are {', '.join(kind.options)}."
                )
            if not isinstance(value, str):
                raise InputError(f"{where}.{key} = {value!r}: expected a text.")
        if "where" in options:
            parse_conditions([options["where"]], f"{where}.where")
        return cls(document["of"], options)

    def made(self, results: Path, study: str) -> tuple[str, tuple[dict[str, Any], ...], list[str]]:
        """Title, rows of cells, and what stands below.

        Raises:
            InputError: as what it is made by.
        """
        kind = KINDS[self.of]
        rows, notes = kind.make(results, study, **self.options)
        given = [word for key, value in self.options.items() for word in (f"--{key}", value)]
        name, *flags = kind.command.split()
        title = f"`{shlex.join(['workbench', name, study, *flags, *given])}`"
        columns = dict.fromkeys(column for row in rows for column in row)
        return title, tuple({**dict.fromkeys(columns), **row} for row in rows), notes


def _difference(
    results: Path, study: str, metric: str = "val_loss", at: str = "last",
    baseline: str | None = None, challenger: str | None = None,
) -> tuple[Rows, list[str]]:  # fmt: skip
    rows = differences(
        results, study, metric, at, baseline=parse_side("baseline", baseline),
        challenger=parse_side("challenger", challenger),
    )  # fmt: skip
    bound = bound_note(rows, "value")
    return [difference_table_row(row) for row in rows], _with(notes_of(rows), bound)


def _effects(
    ask: Callable[..., Rows], results: Path, study: str, metric: str = "val_loss", at: str = "best",
    where: str | None = None,
) -> tuple[Rows, list[str]]:  # fmt: skip
    rows = ask(results, study, metric, at, where=_conditions(where))
    return [effect_table_row(row) for row in rows], [*notes_of(rows), *effect_bound_notes(rows)]


def _crossover_effects(
    results: Path, study: str, metric: str = "val_loss", axis: str = "tokens",
    baseline: str | None = None, challenger: str | None = None,
) -> tuple[Rows, list[str]]:  # fmt: skip
    rows = crossover_effects(
        results, study, metric, axis, baseline=parse_side("baseline", baseline),
        challenger=parse_side("challenger", challenger),
    )  # fmt: skip
    return [crossover_effect_row(row) for row in rows], _with(
        notes_of(rows), ratio_bound_note(rows)
    )


def _best_values(
    results: Path, study: str, key: str = "training.lr", metric: str = "val_loss", at: str = "last",
    where: str | None = None,
) -> tuple[Rows, list[str]]:  # fmt: skip
    found = best_values(results, study, key, metric, at, where=_conditions(where))
    rows = [one.row for one in found]
    return [best_value_table_row(row) for row in rows], notes_of(rows)


def _best_value_laws(
    results: Path, study: str, key: str = "training.lr", metric: str = "val_loss", at: str = "last",
    where: str | None = None,
) -> tuple[Rows, list[str]]:  # fmt: skip
    found = best_values(results, study, key, metric, at, where=_conditions(where))
    rows = best_value_laws(tuple(found), ())
    return law_table(rows), law_notes(rows)


def _texts(results: Path, study: str, where: str | None = None) -> tuple[Rows, list[str]]:
    rows = text_quality(results, study, _conditions(where))
    numbers = [row[name] for row in rows for name in MEASURES if row[name]]
    return [text_table_row(row) for row in rows], [*notes_of(numbers), *text_notes(rows)]


def _with(notes: list[str], bound: str | None) -> list[str]:
    return [*notes, *([f"Note: {bound}"] if bound else [])]


def _conditions(where: str | None) -> Any:
    return parse_conditions([where] if where else None, "where")


_SIDES = ("baseline", "challenger")
_EFFECTS = ("metric", "at", "where")
_BEST = ("key", "metric", "at", "where")
KINDS = {
    "difference": Kind("difference", ("metric", "at", *_SIDES), _difference),
    "effects": Kind("effects", _EFFECTS, partial(_effects, effects)),
    "variants": Kind("effects --show variants", _EFFECTS, partial(_effects, variants)),
    "crossover effects": Kind(
        "effects --show crossovers", ("metric", "axis", *_SIDES), _crossover_effects
    ),
    "best values": Kind("best-value", _BEST, _best_values),
    "laws of best values": Kind("best-value --law", _BEST, _best_value_laws),
    "texts": Kind("text-quality", ("where",), _texts),
}
