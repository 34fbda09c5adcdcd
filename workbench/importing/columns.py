"""The columns that a table of curves can have, and the file's names for them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.objectives import BASELINE, OBJECTIVES


@dataclass(frozen=True)
class Number:
    """Which numbers are allowed in a column."""

    whole: bool = False
    rounded: bool = False
    """Whole after rounding: what is read off a figure need not be whole."""
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def type(self) -> pl.DataType:
        return pl.Int64() if self.whole or self.rounded else pl.Float64()

    @property
    def expected(self) -> str:
        """What is allowed, for messages."""
        words = "a whole number" if self.whole else "a number"
        if self.above is not None:
            words += f" above {self.above:g}"
        if self.at_least is not None and self.at_most is not None:
            return f"{words} from {self.at_least:g} to {self.at_most:g}"
        return words if self.at_least is None else f"{words}, {self.at_least:g} or more"


NUMBERS: dict[str, Number] = {
    "n_params": Number(whole=True, above=0),
    "unique_tokens": Number(whole=True, above=0),
    "total_tokens": Number(rounded=True, at_least=0),
    "value": Number(),
    "epoch": Number(at_least=0),
    "step": Number(whole=True, at_least=0),
    "seed": Number(whole=True, at_least=0),
    "flops": Number(at_least=0),
    "stderr": Number(at_least=0),
    "n": Number(whole=True, at_least=0),
    "dropout": Number(at_least=0, at_most=1),
    "input_mask": Number(at_least=0, at_most=1),
    "lr": Number(above=0),
    "weight_decay": Number(at_least=0),
}
TEXTS = ("objective", "metric", "estimator", "size", "quality")
KNOWN = (*NUMBERS, *TEXTS)
REQUIRED = ("objective", "n_params", "unique_tokens", "metric", "total_tokens", "value")
# The columns that distinguish runs, besides the labels.
RUN_LEVEL = (
    "objective", "n_params", "unique_tokens", "seed", "size", "quality", "dropout", "input_mask",
    "lr", "weight_decay",
)  # fmt: skip

_EXAMPLES = {"objective": BASELINE, "n_params": "1e9", "unique_tokens": "1e8", "metric": "val_loss"}


def literal(text: str) -> float | None:
    """The number that a text spells, or None."""
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class ColumnMap:
    """The file's columns by our names."""

    theirs: dict[str, str]
    """Our name -> the file's."""
    constants: dict[str, str]
    """Our name -> the number or text that stands for a column that the file lacks."""
    labels: list[str]
    left_out: list[str]
    """Columns that have a name of ours, but another column was given for it."""


def map_columns(origin: str, columns: list[str], wanted: Mapping[str, str]) -> ColumnMap:
    """Decide what each column of a file is.

    Args:
        origin: the file, for messages.
        columns: the file's columns.
        wanted: our name -> the file's, or a number or text for every row.

    Raises:
        InputError: a required column is missing, or the file does not have one of `wanted`.
    """
    theirs: dict[str, str] = {}
    constants: dict[str, str] = {}
    for ours, name in wanted.items():
        if ours not in KNOWN:
            raise InputError(
                f"--column {ours}={name}: unknown column {ours}{suggestion(ours, KNOWN) or '.'} "
                f"Columns are {', '.join(KNOWN)}; any other labels the run under its own name."
            )
        if name in columns:
            theirs[ours] = name
        elif _is_constant(ours, name, columns):
            constants[ours] = name
        else:
            raise InputError(
                f"--column {ours}={name}: {origin} has no column {name}"
                f"{suggestion(name, columns) or '.'} It has {', '.join(columns)}."
            )
    for name in columns:
        if name in KNOWN and name not in wanted:
            theirs.setdefault(name, name)
    missing = [name for name in REQUIRED if name not in theirs and name not in constants]
    if missing:
        raise InputError(_missing(origin, missing, columns, theirs.values()))
    used = set(theirs.values())
    rest = [name for name in columns if name not in used]
    left_out = [name for name in rest if name in KNOWN]
    return ColumnMap(theirs, constants, [n for n in rest if n not in KNOWN], left_out)


def _is_constant(ours: str, text: str, columns: list[str]) -> bool:
    """Whether a text stands for every row, rather than for a column that is misspelt."""
    if ours in NUMBERS:
        return ours != "value" and literal(text) is not None
    return text.lower() in OBJECTIVES or not suggestion(text, columns)


def _missing(origin: str, missing: list[str], columns: list[str], used: Iterable[str]) -> str:
    spare = [name for name in columns if name not in set(used)]
    lines = []
    for name in missing:
        near = suggestion(name, spare)
        lines.append(f"{origin}: the column {name} is missing{near or '.'}")
    lines.append(
        f"The file has {', '.join(columns)}. Needed are {', '.join(REQUIRED)}. "
        f"Name a column that is called otherwise, or what stands for every row: "
        f"--column {missing[0]}={_EXAMPLES.get(missing[0], 'NAME')}."
    )
    return "\n".join(lines)
