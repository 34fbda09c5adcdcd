"""From a file's cells to points: typed and checked; one wrong cell refuses the whole file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from workbench.errors import InputError
from workbench.importing.columns import (
    KNOWN,
    NUMBERS,
    REQUIRED,
    RUN_LEVEL,
    ColumnMap,
    Number,
    map_columns,
)
from workbench.importing.request import Request
from workbench.importing.schedules import without_schedules
from workbench.importing.table import ROW, RawTable
from workbench.importing.units import check_headers
from workbench.messages import suggestion
from workbench.metrics import METRICS, OLD_NAMES
from workbench.recipe.objectives import OBJECTIVES

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")
_FEW = 3
_SINGLE = (
    "every run has one point. Where rows are points of one curve, what changes from point to "
    "point, such as unique_tokens, has to be given for all: --column unique_tokens=N."
)
_NEVER_NEGATIVE = [
    name for name, of in METRICS.items() if of.unit in ("nats a token", "bits a byte")
]


@dataclass(frozen=True)
class Points:
    """Numbers to import, one row each: every known column, typed, then the labels as text."""

    frame: pl.DataFrame
    labels: list[str]
    provenance: dict[str, Any]
    """Where all of them come from."""
    notes: list[str] = field(default_factory=list)


def read_points(table: RawTable, request: Request) -> Points:
    """Check a table with a row for each number, and type it.

    Raises:
        InputError: a cell or a column is wrong. The message names file, column and row, and how to
            mend it.
    """
    try:
        mapping = map_columns(str(table.path), table.columns, request.columns)
    except InputError as error:
        raise InputError("\n".join([str(error), *table.notes])) from None
    check_headers(str(table.path), mapping.theirs, request.units)
    checker = _Checker(table, mapping, request.units)
    columns = [table.frame[ROW], *(checker.column(name) for name in KNOWN)]
    names = [name for name in mapping.labels if not request.leaves_out(name)]
    frame = pl.DataFrame([*columns, *(_text(table.frame[name]) for name in names)])
    request.check([*frame["metric"].unique(), *mapping.labels])
    notes = [*table.notes, *checker.notes]
    notes += [f"the column {name} is left out: --column gave another." for name in mapping.left_out]
    frame = frame.filter(_chosen(frame["metric"], request))
    checker.losses(frame)
    frame, left_out = _without_empty(frame)
    if left_out:
        notes.append(f"rows without a value are left out: {left_out:,}.")
    if frame.is_empty():
        raise InputError(f"{table.path}: no row has a value.")
    frame, labels, scheduled = without_schedules(str(table.path), frame, names, request.labels)
    frame, repeated = _without_repetition(frame, labels, table)
    if repeated:
        notes.append(f"rows that repeat another are left out: {repeated:,}.")
    if _single(frame, labels):
        scheduled = [*scheduled, _SINGLE]
    provenance = {
        "source": {"file": table.path.name, "sha256": table.sha256},
        "columns": {**mapping.theirs, **mapping.constants},
    }
    return Points(frame.drop(ROW), labels, provenance, [*notes, *scheduled])


def _single(frame: pl.DataFrame, labels: list[str]) -> bool:
    """Whether there are several runs, and each has one point of a metric."""
    points = frame.group_by(*RUN_LEVEL, *labels, "metric").len()
    return points.height > _FEW and points["len"].max() == 1


def _chosen(metrics: pl.Series, request: Request) -> pl.Series:
    names = [name for name in metrics.unique() if request.takes(name, OLD_NAMES.get(name, name))]
    return metrics.is_in(names)


def _aliases() -> dict[str, str]:
    """Our names of objectives, by what tables call them; plug-ins take no alias from others."""
    names: dict[str, str] = {}
    for name, facts in OBJECTIVES.usable().items():
        for alias in (name, *facts.aliases):
            names.setdefault(alias, name)
    return names


def objective_name(text: str) -> str | None:
    """Our name of an objective, or None where the text cannot be one."""
    plain = text.strip().lower()
    known = _aliases().get(plain.replace("-", "_").replace(" ", "_"))
    return known or (plain if _IDENTIFIER.fullmatch(plain) else None)


def _text(cells: pl.Series) -> pl.Series:
    cells = cells.cast(pl.String).str.strip_chars()
    return cells.set(cells == "", None)


class _Checker:
    """Types one column after the other, with an error on the first wrong cell."""

    def __init__(self, table: RawTable, mapping: ColumnMap, units: Mapping[str, float]) -> None:
        self.table = table
        self.mapping = mapping
        self.units = units
        self.notes: list[str] = []

    def column(self, name: str) -> pl.Series:
        """A known column under our name; all NULL where the file has none."""
        height = self.table.frame.height
        if name in self.mapping.constants:
            cells = pl.Series([self.mapping.constants[name]]).new_from_index(0, height)
        elif name in self.mapping.theirs:
            cells = self.table.frame[self.mapping.theirs[name]]
        else:
            kind = NUMBERS[name].type if name in NUMBERS else pl.String()
            return pl.Series(name, [None], dtype=kind).new_from_index(0, height)
        if name in REQUIRED and name != "value":
            self._refuse(name, cells, cells.is_null(), "is empty; every row needs it")
        if name in NUMBERS:
            return self._number(name, cells, NUMBERS[name]).alias(name)
        texts = _text(cells)
        return (self._objective(texts) if name == "objective" else texts).alias(name)

    def _refuse(self, name: str, cells: pl.Series, bad: pl.Series, problem: str) -> None:
        bad = bad.fill_null(False)
        if not bad.any():
            return
        first = bad.arg_max()
        assert first is not None
        cell = cells[first]
        theirs = self.mapping.theirs.get(name, name)
        called = theirs if theirs == name else f"{theirs} ({name})"
        shown = "" if cell is None else f" {cell!r}"
        rest = f" The same in rows below it: {bad.sum() - 1:,}." if bad.sum() > 1 else ""
        place = self.table.where(self.table.frame[ROW][first])
        raise InputError(f"{self.table.path}: column {called}, {place}:{shown} {problem}.{rest}")

    def _number(self, name: str, cells: pl.Series, allowed: Number) -> pl.Series:
        given = cells.is_not_null()
        empty = ", or an empty cell" if name not in REQUIRED else ""
        wrong = f"is not {allowed.expected}{empty}"
        if cells.dtype == pl.Boolean or cells.dtype.is_temporal():
            self._refuse(name, cells, given, wrong)
        unit = self.units.get(name, 1.0)
        floats = cells.cast(pl.Float64, strict=False) * unit
        self._refuse(name, cells, given & floats.is_null(), wrong)
        finite = "is not finite; leave the cell empty where there is no number"
        self._refuse(name, cells, ~floats.is_finite(), finite)
        for bound, outside in (
            (allowed.above, lambda limit: floats <= limit),
            (allowed.at_least, lambda limit: floats < limit),
            (allowed.at_most, lambda limit: floats > limit),
        ):
            if bound is not None:
                self._refuse(name, cells, outside(bound), wrong)
        if allowed.type == pl.Float64:
            return floats
        # The cast does not read text such as 1e9 as an integer; floats lose digits of large ones.
        numbers = floats.round() if allowed.rounded or unit != 1 else floats
        self._refuse(name, cells, (numbers != numbers.floor()) | (numbers >= 2.0**63), wrong)
        whole = numbers.cast(pl.Int64, strict=False)
        if cells.dtype.is_float() or unit != 1:
            return whole
        exact = cells.cast(pl.Int64, strict=False)
        return exact.zip_with(exact.is_not_null(), whole)

    def _objective(self, texts: pl.Series) -> pl.Series:
        aliases = _aliases()
        names = {text: objective_name(text) for text in texts.unique().drop_nulls().to_list()}
        unknown = [text for text, name in names.items() if name is None]
        allowed = "; ".join(
            f"{ours}: {', '.join(word for word, name in aliases.items() if name == ours)}"
            for ours in OBJECTIVES
        )
        self._refuse(
            "objective",
            texts,
            texts.is_in(unknown),
            f"is no objective. Known are {allowed}; any other has letters, digits, '_' and '-' only"
        )  # fmt: skip
        for name in sorted({str(n) for n in names.values()} - set(OBJECTIVES)):
            near = suggestion(name, aliases)
            known = ", ".join(OBJECTIVES)
            self.notes.append(
                f"objective {name} is imported as it is: none of {known}{near or '.'}"
            )
        return texts.replace_strict(names, return_dtype=pl.String)

    def losses(self, frame: pl.DataFrame) -> None:
        """Refuse negative losses."""
        bad = negative_losses(frame)
        self._refuse("value", frame["value"], bad, "is negative, and its metric is a loss")


def negative_losses(frame: pl.DataFrame) -> pl.Series:
    """Which points are negative although their metric is a loss; of metrics from elsewhere nothing
    is known, whatever they are called."""
    measured = frame["metric"].str.split("@").list.first()
    return (frame["value"] < 0) & measured.is_in(_NEVER_NEGATIVE)


def _without_empty(frame: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    filled = frame.filter(pl.col("value").is_not_null())
    return filled, frame.height - filled.height


def _without_repetition(
    frame: pl.DataFrame, labels: list[str], table: RawTable
) -> tuple[pl.DataFrame, int]:
    """The rows without those that repeat another, and their number.

    Raises:
        InputError: two rows give one point different values.
    """
    distinct = frame.unique(pl.exclude(ROW), keep="first", maintain_order=True)
    point = [*RUN_LEVEL, *labels, "metric", "total_tokens", "estimator"]
    clash = distinct.filter(pl.struct(point).is_duplicated())
    if not clash.is_empty():
        first = clash.row(0, named=True)
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(first[name])) for name in point)
        rows = clash.filter(same)[ROW].to_list()
        places = " and ".join(table.where(row) for row in rows[:2])
        raise InputError(
            f"{table.path}: {places} give different values for one point: "
            f"{first['objective']}, {first['metric']} at {first['total_tokens']:,} tokens. Leave "
            "one out, or add a column that distinguishes their runs, such as seed."
        )
    return distinct, frame.height - distinct.height
