"""Logs of plain text, read line by line with a regular expression of named groups.

Polars matches it, in time that is linear in the text whatever the expression: one that takes
exponential time elsewhere does not here, and what has to look back or ahead is refused.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import polars as pl

from workbench.errors import InputError
from workbench.importing.attempts import Row, add_rows
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, LogFormat, RunLog
from workbench.importing.table import read_bytes
from workbench.importing.table_text import decode
from workbench.importing.tags import is_token_count

_SUFFIXES = (".log", ".txt", ".out", ".err", ".gz")
_COLOUR = r"\x1b\[[0-9;]*m"
_THOUSANDS = r"^\d{1,3}(?:,\d{3})+$"
_EXAMPLE = r"--pattern 'step (?P<step>\d+) .* loss (?P<train_loss>\S+)'"


def _find(source: Path, request: Request) -> Loaders:
    if request.pattern is None:
        return {}
    names, axis = _groups(request.pattern)
    loaders: dict[str, Callable[[], RunLog]] = {}
    files = [source]
    if source.is_dir():
        files = sorted(p for p in source.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
        if not files:
            raise InputError(f"{source}: no files that end in {', '.join(_SUFFIXES)}.")
    for file in files:
        inside = file.relative_to(source).as_posix() if file != source else file.name
        name = re.sub(rf"({'|'.join(map(re.escape, _SUFFIXES))})+$", "", inside) or inside
        loaders[inside if name in loaders else name] = partial(
            _read, file, request.pattern, names, axis, request.units.get("total_tokens", 1.0)
        )
    return loaders


def _groups(pattern: str) -> tuple[list[str], str]:
    """The names of an expression's groups that are metrics, and the one of the axis.

    Raises:
        InputError: the expression is none, or lacks groups.
    """
    try:
        fields = pl.Series([""]).str.extract_groups(pattern).struct.fields
    except pl.exceptions.PolarsError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"--pattern: {reason}. Groups are written (?P<name>...); looking ahead or behind and "
            "references back are not possible."
        ) from None
    names = [name for name in fields if not name.isdigit()]
    axis = "step" if "step" in names else next(filter(is_token_count, names), None)
    metrics = [name for name in names if name != axis]
    if axis is None or not metrics:
        raise InputError(
            f"--pattern has the groups {', '.join(names) or 'none'}: needed are step, or one that "
            f"counts tokens, and one for each metric, such as {_EXAMPLE}."
        )
    return metrics, axis


def _read(file: Path, pattern: str, names: list[str], axis: str, unit: float) -> RunLog:
    content = read_bytes(file)
    lines = pl.Series(decode(file, content).split("\n")).str.replace_all(_COLOUR, "")
    groups = lines.str.extract_groups(pattern).struct.unnest().select(axis, *names)
    groups = groups.with_row_index("\0line").filter(pl.col(axis).is_not_null())
    if groups.is_empty():
        raise InputError(f"{file}: no line of {len(lines):,} matches --pattern {pattern}.")
    log = RunLog(over_tokens=axis != "step")
    log.files.append({"file": file.name, "sha256": hashlib.sha256(content).hexdigest()})
    add_rows(
        log, _rows(file, groups, names, axis, unit), lambda line: f"line {line + 1}", repeats=True
    )
    return log


def _rows(
    file: Path, groups: pl.DataFrame, names: list[str], axis: str, unit: float
) -> Iterator[Row]:
    counts = {axis, *filter(is_token_count, names)}
    numbers = {name: _numbers(file, groups, name, name in counts) for name in (axis, *names)}
    for position, line in enumerate(groups["\0line"]):
        values = {n: numbers[n][position] for n in names if numbers[n][position] is not None}
        if values:
            step = numbers[axis][position]
            yield line, round(step if axis == "step" else step * unit), values


def _numbers(file: Path, groups: pl.DataFrame, name: str, count: bool) -> pl.Series:
    """A group's texts as numbers. Counts may have commas between thousands."""
    texts = groups[name].str.strip_chars()
    if count:
        plain = pl.when(pl.col(name).str.contains(_THOUSANDS)).then(
            pl.col(name).str.replace_all(",", "")
        )
        texts = texts.to_frame().select(plain.otherwise(pl.col(name))).to_series()
    numbers = texts.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & texts.is_not_null()
    if count:
        wrong = wrong | (numbers < 0)
    if name == "step":
        wrong = wrong | (numbers != numbers.round())
    if wrong.fill_null(False).any():
        first = int(wrong.fill_null(False).arg_true()[0])
        kind = "whole number" if name == "step" else "number"
        raise InputError(
            f"{file}, line {groups[chr(0) + 'line'][first] + 1}: the group {name} is "
            f"{texts[first]!r}, no {kind}. Write the group for digits alone, such as "
            f"(?P<{name}>[-+.\\deE]+)."
        )
    return numbers


TEXT_LOGS = LogFormat("text logs (with --pattern)", _find)
