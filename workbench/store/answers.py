"""Writing answers into the store, for SQL and for other programs."""

import json
from pathlib import Path
from typing import Any

from workbench.messages import json_text
from workbench.store.connection import database_path, writing
from workbench.store.parquet.layout import is_dataset


def keep_crossovers(results: Path, rows: list[dict[str, Any]], *, timeout: float = 10.0) -> None:
    """Replace a study's crossovers of one metric and axis by newly computed ones, of the same
    definitions: those of other definitions stay beside them.

    A dataset is not changed.

    Args:
        rows: what `analysis.crossover.crossovers` returned.

    Raises:
        WorkbenchError: the store stayed locked, or the disk is full.
    """
    if not rows or is_dataset(results):
        return
    with writing(database_path(results), timeout=timeout) as connection:
        for definition in {row["definition"] for row in rows}:
            connection.execute(
                "DELETE FROM crossovers "
                "WHERE study = ? AND metric = ? AND axis = ? AND definition = ?",
                [rows[0]["study"], rows[0]["metric"], rows[0]["axis"], definition],
            )
        for row in rows:
            values = {
                **{name: row[name] for name in ("study", "metric", "axis", "definition")},
                **{name: row["group"][name] for name in ("unique_tokens", "n_params")},
                **{name: row[name] for name in ("status", "crossover", "last_x")},
                "result": json_text(row),
            }
            connection.execute(
                f"INSERT INTO crossovers ({', '.join(values)}) "
                f"VALUES ({', '.join('?' for _ in values)})",
                list(values.values()),
            )


def keep_fits(
    results: Path, study: str, fits: list[dict[str, Any]], *, timeout: float = 10.0
) -> None:
    """Add a study's fits, in the places of those of the same law, to the same values, with the same
    parameters fixed and shared. A dataset is not changed.

    Args:
        fits: rows as `workbench fit` writes them.

    Raises:
        WorkbenchError: the store stayed locked, or the disk is full.
    """
    if is_dataset(results):
        return
    with writing(database_path(results), timeout=timeout) as connection:
        stored = connection.execute(
            "SELECT rowid, result FROM fits WHERE study = ? ORDER BY rowid", [study]
        ).fetchall()
        laws, new = {row["law"] for row in fits}, {fit_identity(row) for row in fits}
        for place, result in stored:
            row = json.loads(result)
            unknown = row.get("fitted_to") is None and row["law"] in laws
            if unknown or fit_identity(row) in new:
                connection.execute("DELETE FROM fits WHERE rowid = ?", [place])
        for row in fits:
            connection.execute(
                "INSERT INTO fits VALUES (?, ?, ?, ?)",
                [study, row["law"], row["objective_name"], json_text(row)],
            )


def fit_identity(fit: dict[str, Any]) -> str:
    """Equal for fits of which the later one takes the place of the earlier."""
    values = {name: part for name, part in (fit.get("fitted_to") or {}).items() if name != "runs"}
    joint = fit.get("objective_name") is None
    return json_text([fit["law"], values, joint, fit.get("fixed") or [], fit.get("shared") or []])


def keep_backtests(
    results: Path, study: str, rows: list[dict[str, Any]], *, timeout: float = 10.0
) -> None:
    """Replace a study's backtests of the same splits and values. A dataset is not changed.

    Args:
        rows: of `laws.backtest.scores`.

    Raises:
        WorkbenchError: the store stayed locked, or the disk is full.
    """
    if is_dataset(results):
        return
    with writing(database_path(results), timeout=timeout) as connection:
        for train, metric, at in {(r["train"], r.get("metric"), r.get("at")) for r in rows}:
            connection.execute(
                """DELETE FROM backtests WHERE study = ? AND train = ?
                   AND coalesce(result->>'$.metric', ?) IS NOT DISTINCT FROM ?
                   AND coalesce(result->>'$.at', ?) IS NOT DISTINCT FROM ?""",
                [study, train, metric, metric, at, at],
            )
        for row in rows:
            connection.execute(
                "INSERT INTO backtests VALUES (?, ?, ?, ?, ?, ?)",
                [
                    *(study, row["along"], row["train"], row["objective"], row["predictor"]),
                    json_text(row),
                ],
            )
