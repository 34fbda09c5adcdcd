"""Forecasts of a dataset, which has the store's rows of them and not their documents."""

from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.runs.forecasts import FORECASTS, Forecast
from workbench.store import database_path, query
from workbench.store.parquet.layout import is_dataset


def stored_forecasts(results: Path, study: str | None = None) -> list[Forecast]:
    """The forecasts of the store's table, the earliest first; none where there is no store.

    Whether a document was changed is known from when the store read it. Quantiles are not stored.
    """
    if not (is_dataset(results) or database_path(results).exists()):
        return []
    rows = query(results, "SELECT * FROM forecasts ORDER BY made, forecast").to_dicts()
    documents: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if study in (None, row["study"]):
            documents.setdefault((row["study"], row["forecast"]), []).append(row)
    return [_forecast(results, name, own) for name, own in documents.items()]


def _forecast(results: Path, name: tuple[str, str], rows: list[dict[str, Any]]) -> Forecast:
    study, forecast = name
    problem = next((row["problem"] for row in rows if row["problem"]), None)
    document = {
        "digest": forecast,
        "made_at": datetime.fromisoformat(rows[0]["made"]).timestamp() if rows[0]["made"] else None,
        "runs": [row for row in rows if row["kind"] == "run"],
        "crossovers": [row for row in rows if row["kind"] == "crossover"],
    }
    return Forecast(results / FORECASTS / study / f"{forecast}.json", document, problem)
