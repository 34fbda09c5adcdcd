"""From what a user gives to what a fit needs."""

import tomllib
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.laws.fitting.loss_table import LossTable, read_table
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.study_table import study_table
from workbench.laws.law import Law, Procedure
from workbench.laws.registry import LAWS
from workbench.messages import suggestion


def get_law(name: str) -> Law | Procedure:
    """Raises:
    InputError: no such law.
    """
    if name not in LAWS:
        raise InputError(
            f"--law {name}: no such law{suggestion(name, LAWS) or '.'} "
            f"Laws: {', '.join(LAWS)}, or all."
        )
    return LAWS[name]


def get_table(
    table: Path | None,
    study: str | None,
    results: Path,
    metric: str,
    at: str,
    columns: dict[str, str],
    law: str,
    where: dict[str, list[Any]] | None = None,
) -> LossTable:
    """Raises:
    InputError: neither or both of a table and a study, or one that cannot be read.
    """
    if (table is None) == (study is None):
        raise InputError("give one of --table FILE and --study NAME.")
    if table is not None:
        if where:
            raise InputError("--where is for --study: leave rows out of the table's file.")
        return read_table(table, columns)
    assert study is not None
    if columns:
        raise InputError("--column is for --table: a study's columns are known.")
    # The critical compute is read from whole curves, not from where they ended.
    return study_table(results, study, metric, "curve" if law == "critical_compute" else at, where)


def wanted(pairs: dict[str, str]) -> dict[str, list[Any]]:
    """Values of `--where key=value`: as TOML would have them, else as text."""
    return {key: [_value(text)] for key, text in pairs.items()}


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def fit_options(
    fixed: dict[str, str],
    tied: dict[str, str],
    shared: str | None,
    *,
    joint: bool,
    two_stage: bool,
    starts: int,
    resamples: int,
    seed: int,
    diagnostics: bool = True,
) -> FitOptions:
    """Raises:
    InputError: a held value that is not a number.
    """
    held = {}
    for name, text in fixed.items():
        try:
            held[name] = float(text)
        except ValueError:
            raise InputError(f"--fixed {name}={text}: expected a number.") from None
    return FitOptions(
        fixed=held,
        tied=tuple(tied.items()),
        shared=tuple(part.strip() for part in shared.split(",")) if shared else (),
        joint=joint,
        two_stage=two_stage,
        starts=starts,
        resamples=resamples,
        seed=seed,
        diagnostics=diagnostics,
    )
