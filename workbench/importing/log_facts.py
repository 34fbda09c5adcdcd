"""What is known of a run besides its numbers: from its name, its log, a table of runs, options."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.importing.columns import KNOWN, RUN_LEVEL, literal
from workbench.importing.request import Request
from workbench.importing.run_log import RunLog
from workbench.importing.run_names import FORM, parse_name
from workbench.importing.runs_table import runs_table
from workbench.importing.units import check_headers
from workbench.recipe.objectives import BASELINE

NEEDED = ("objective", "n_params", "unique_tokens")
_PER = ("tokens_per_step", "tokens_per_sample")
_END = "total_tokens"


@dataclass(frozen=True)
class Given:
    """What options say: of every run, and of single ones."""

    facts: Mapping[str, str]
    units: Mapping[str, float]
    tags: Mapping[str, str]
    """Our name of a metric, or `total_tokens`, -> its tag."""
    rows: Mapping[str, Mapping[str, str]] | None
    """Run, or the end of its path -> what the table of runs says; None without a table."""

    def of(self, name: str, log: RunLog) -> dict[str, Any]:
        """All that is known of a run. An option is believed before the table of runs, that before
        the log, and that before the run's name.

        Raises:
            InputError: a number of tokens is none.
        """
        known = {**_from_name(name), **log.facts, **(self.row(name) or {}), **self.facts}
        for key in (*_PER, _END):
            if key in known:
                known[key] = _whole(key, known[key], self.units.get(key, 1.0))
        return known

    def says(self, name: str, key: str) -> bool:
        """Whether an option or the table of runs tells something of a run."""
        return key in self.facts or key in (self.row(name) or {})

    def row(self, name: str) -> Mapping[str, str] | None:
        """What the table of runs says of a run; None where it does not have it."""
        if self.rows is None:
            return {}
        return next((self.rows[key] for key in _spellings(name) if key in self.rows), None)


def given_facts(request: Request) -> Given:
    """What `--column`, `--unit` and `--runs` say.

    Raises:
        InputError: logs have no such column, a number is none, or the table names no runs.
    """
    facts, tags = {}, {}
    for ours, theirs in request.columns.items():
        if ours in _PER or (ours == _END and literal(theirs) is not None):
            _whole(f"--column {ours}", theirs, request.units.get(ours, 1.0))
            facts[ours] = theirs
        elif ours in RUN_LEVEL or ours == "estimator":
            facts[ours] = theirs
        elif ours in KNOWN and ours != _END:
            allowed = ", ".join((*RUN_LEVEL, *_PER))
            raise InputError(
                f"--column {ours}={theirs}: event files and logs have no columns. Give a value for "
                f"{allowed}, or the tag of total_tokens or of a metric."
            )
        else:
            tags[ours] = theirs
    counts = {ours: tag for ours, tag in tags.items() if ours == _END}
    check_headers("--column", counts, request.units)
    rows = None if request.runs is None else runs_table(request.runs)
    return Given(facts, request.units, tags, rows)


def check_known(source: Path, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that the facts that every run needs are known.

    Raises:
        InputError: some are not. The message names the runs, and how to tell.
    """
    lines = []
    for key in NEEDED:
        without = [name for name, facts in known.items() if key not in facts]
        if without:
            lines.append(f"{source}: nothing tells {key} of {first_names(without)}.")
    if lines:
        missing = [key for key in NEEDED if any(key not in facts for facts in known.values())]
        examples = {"objective": BASELINE, "n_params": "1e9", "unique_tokens": "1e8"}
        example = " ".join(f"--column {key}={examples[key]}" for key in missing)
        raise InputError(
            "\n".join(lines) + f"\nGive what all runs share as {example}, or a table of runs, "
            f"--runs FILE, with the columns run, {', '.join(missing)}; or name folders "
            f"{FORM}."
        )


def first_names(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + rest


def _from_name(path: str) -> dict[str, Any]:
    name = parse_name(path)
    if name is None:
        return {}
    known = {
        "objective": name.objective,
        "unique_tokens": name.unique_tokens,
        "size": name.size,
        "n_params": name.n_params,
        _END: name.total_tokens,
        **name.labels,
    }
    return {key: value for key, value in known.items() if value is not None}


def _whole(key: str, value: Any, unit: float) -> int:
    number = literal(str(value))
    if number is None or not math.isfinite(number) or number * unit < 1:
        raise InputError(f"{key}={value}: expected a whole number.")
    if unit == 1 and not number.is_integer():
        raise InputError(f"{key}={value}: expected a whole number. --unit gives it another unit.")
    return round(number * unit)


def _spellings(name: str) -> Iterable[str]:
    """A run's name, and the ends of its path, from the longest."""
    parts = name.split("/")
    return ("/".join(parts[start:]) for start in range(len(parts)))
