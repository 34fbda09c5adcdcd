"""Columns by which people tell runs apart: the keys that vary, a size, progress, times."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.messages import duration, size_label


def varying(
    configs: Sequence[Mapping[str, Any]], n_params: Sequence[int | None]
) -> list[dict[str, Any]]:
    """Of each run, the keys in which the runs differ, and their values: dotted keys, without the
    objective, the size and the seeds, and without keys that follow from others."""
    from workbench.analysis.run_keys import SEEDS, distinguishing_keys
    from workbench.recipe.sweep import dotted

    keys = [
        dotted(dict(config)) | {"n_params": n} for config, n in zip(configs, n_params, strict=True)
    ]
    plain = [{key: value for key, value in one.items() if key not in SEEDS} for one in keys]
    names = [key for key in distinguishing_keys(plain) if key != "n_params"]
    return [{key: one.get(key) for key in names} for one in plain]


def short_names(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the last part of each dotted key as its name, where that is of one key alone."""
    names = {key: key.rpartition(".")[2] for row in rows for key in row}
    last = list(names.values())
    return [
        {names[key] if last.count(names[key]) == 1 else key: value for key, value in row.items()}
        for row in rows
    ]


def without_empty(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A table without the columns that are empty in every row."""
    empty = {name for name in (rows[0] if rows else ()) if all(row[name] is None for row in rows)}
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]


def size(n_params: int | None) -> str | None:
    """Parameters for people."""
    return None if n_params is None else size_label(n_params)


def share(progress: float | None) -> str | None:
    """A share in percent; 100 % is said of nothing that lacks a step."""
    return None if progress is None else f"{int(100 * progress)} %"


def time_text(seconds: float | None) -> str | None:
    """A duration in its largest unit that is worth saying."""
    if seconds is None:
        return None
    if seconds < 172_800:
        return duration(seconds) if seconds < 36_000 else f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} days"
