"""Inserting runs and studies into the store, many with one statement, which is faster."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import duckdb
import polars as pl

from workbench.messages import json_text
from workbench.runs.forecasts import Forecast
from workbench.store.run_rows import RunRows
from workbench.store.schema import FORECASTS, METRICS, RUNS

_TYPES = {"VARCHAR": pl.String, "JSON": pl.String, "BIGINT": pl.Int64, "DOUBLE": pl.Float64,
          "BOOLEAN": pl.Boolean}  # fmt: skip
_RUNS = pl.Schema({column.name: _TYPES[column.type]() for column in RUNS.columns})
_FORECASTS = pl.Schema({column.name: _TYPES[column.type]() for column in FORECASTS.columns})
_METRICS = [column.name for column in METRICS.columns]


def replace_runs(connection: duckdb.DuckDBPyConnection, batch: Sequence[RunRows]) -> None:
    """Replace the rows of these runs, and the records of those that were read anew."""
    _replace_rows(connection, batch)
    changed = [rows for rows in batch if rows.records is not None]
    if not changed:
        return
    ids = [rows.run["run_id"] for rows in changed]
    known = connection.execute(
        "SELECT run_id FROM ingested WHERE run_id IN (SELECT unnest(?))", [ids]
    ).fetchall()
    if known:  # deleting scans all metrics, which new runs do not need
        old = [row[0] for row in known]
        connection.execute("DELETE FROM metrics WHERE run_id IN (SELECT unnest(?))", [old])
        connection.execute("DELETE FROM ingested WHERE run_id IN (SELECT unnest(?))", [old])
    frames = [
        rows.records.with_columns(run_id=pl.lit(rows.run["run_id"])).select(_METRICS)
        for rows in changed
        if rows.records is not None
    ]
    _insert(connection, "metrics", pl.concat(frames, how="vertical_relaxed"))
    _insert(
        connection,
        "ingested",
        pl.DataFrame({"run_id": ids, "source": [rows.source for rows in changed]}),
    )


def _replace_rows(connection: duckdb.DuckDBPyConnection, batch: Sequence[RunRows]) -> None:
    """Replace the rows of those runs that changed, so that an unchanged store is not written."""
    frame = pl.DataFrame([rows.run for rows in batch], schema=_RUNS)
    there = connection.sql(
        "FROM runs WHERE run_id IN (SELECT unnest(?))", params=[frame["run_id"].to_list()]
    ).pl()
    changed = frame.join(there.cast(dict(_RUNS)), on=list(_RUNS), how="anti", nulls_equal=True)
    if changed.is_empty():
        return
    connection.execute(
        "DELETE FROM runs WHERE run_id IN (SELECT unnest(?))", [changed["run_id"].to_list()]
    )
    _insert(connection, "runs", changed)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    connection.register("new_rows", frame)
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")
    connection.unregister("new_rows")


def replace_studies(connection: duckdb.DuckDBPyConnection, studies: list[dict[str, Any]]) -> None:
    """Replace the rows of these studies, and their lists of runs."""
    for study in studies:
        name = study["name"]
        connection.execute("DELETE FROM studies WHERE study = ?", [name])
        connection.execute(
            "INSERT INTO studies VALUES (?, ?, ?, ?, ?)",
            [
                name,
                _text(study.get("question")),
                _text(study.get("source")),
                json_text(study.get("compare")),
                _text(study.get("recipe")),
            ],
        )
        connection.execute("DELETE FROM study_runs WHERE study = ?", [name])
        frame = pl.DataFrame(
            {"study": [name] * len(study["run_ids"]), "run_id": study["run_ids"]},
            schema={"study": pl.String, "run_id": pl.String},
        )
        _insert(connection, "study_runs", frame)


def _text(value: Any) -> str | None:
    """What a column of texts takes of a document that anybody may have written."""
    if value is None or isinstance(value, str):
        return value and value.encode(errors="replace").decode()
    return json_text(value)


def replace_forecasts(connection: duckdb.DuckDBPyConnection, forecasts: Sequence[Forecast]) -> None:
    """Replace all forecasts, where they differ."""
    frame = pl.concat([pl.DataFrame(schema=_FORECASTS), *map(_forecast_frame, forecasts)])
    there = connection.sql("FROM forecasts").pl().cast(dict(_FORECASTS))
    if frame.sort(pl.all()).equals(there.sort(pl.all())):
        return
    connection.execute("DELETE FROM forecasts")
    _insert(connection, "forecasts", frame)


def _forecast_frame(forecast: Forecast) -> pl.DataFrame:
    try:
        frame = pl.DataFrame(_forecast_rows(forecast), schema=_FORECASTS)
    except (pl.exceptions.PolarsError, OverflowError, AttributeError, TypeError, ValueError):
        head = _forecast_rows(replace(forecast, problem=f"{forecast.path}: not a forecast."))
        frame = pl.DataFrame(head, schema=_FORECASTS)
    numbers = pl.col(pl.Float64)
    return frame.with_columns(pl.when(numbers.is_finite()).then(numbers))


def _forecast_rows(forecast: Forecast) -> list[dict[str, Any]]:
    head = {
        "forecast": forecast.name,
        "study": forecast.study,
        "made": _text(forecast.document.get("made")),
        "problem": forecast.problem,
    }
    if forecast.problem:
        return [head]
    return [
        {key: entry.get(key) for key in _FORECASTS} | head | {"kind": kind.removesuffix("s")}
        for kind in ("runs", "crossovers")
        for entry in forecast.entries(kind)
    ]
