"""Forecasts against what came true: error, how often intervals held, and whether they are too wide.

A run or crossover is scored by the first forecast that was made of it before it had records; later
ones, changed ones and those made after the fact are counted, and not scored.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from workbench.analysis.crossover import crossovers
from workbench.analysis.stored_forecasts import stored_forecasts
from workbench.errors import InputError
from workbench.runs.folder import RunFolder
from workbench.runs.forecasts import Forecast, read_forecasts
from workbench.store import query

_TOKENS = "tokens"


@dataclass
class Scores:
    """Scored forecasts, one row each, and how many were not scored, by reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def score_forecasts(results: Path, study: str | None = None) -> Scores:
    """All forecasts of a results folder, or of one study, against what is measured by now.

    Raises:
        InputError: there is no forecast.
    """
    forecasts = read_forecasts(results, study) or stored_forecasts(results, study)
    if not forecasts:
        where = f"Study {study}" if study else str(results)
        raise InputError(
            f"{where} has no forecast. `workbench forecast RECIPE` makes one, before its runs are "
            "trained."
        )
    scores = Scores()
    for forecast in forecasts:
        if forecast.problem:
            scores.left_out[forecast.problem] += 1
    _score_runs(results, forecasts, scores)
    _score_crossovers(results, forecasts, scores)
    return scores


def _score_runs(results: Path, forecasts: list[Forecast], scores: Scores) -> None:
    final = _final_values(results)
    seen: set[tuple[str, str]] = set()
    for forecast in forecasts:
        for entry in forecast.entries("runs"):
            key = entry["run_id"], entry["metric"]
            reason = _not_scored(entry, key in seen)
            if reason is None and _began_before(results, entry["run_id"], forecast.made):
                reason = "after the fact"
            if reason is None:
                seen.add(key)
                reason = "not finished yet" if key not in final else None
            if reason is not None:
                scores.left_out[reason] += 1
                continue
            scores.rows.append(_scored(forecast, entry, "run", final[key]))


def _not_scored(entry: dict[str, Any], seen: bool) -> str | None:
    if entry["after_the_fact"]:
        return "after the fact"
    if entry["expected"] is None and entry["low"] is None:
        return "nothing was expected"
    return "a second forecast of it" if seen else None


def _final_values(results: Path) -> dict[tuple[str, str], float]:
    frame = query(
        results,
        "SELECT run_id, metric, value FROM final WHERE state = 'finished' AND value IS NOT NULL",
    )
    return {(run, metric): value for run, metric, value in frame.iter_rows()}


def _began_before(results: Path, run_id: str, made: float) -> bool:
    """Whether a run was started before its forecast was made, whatever the forecast says."""
    try:
        started = RunFolder(results / "runs" / run_id).stored_status().started
    except InputError:
        return False
    return started is not None and started < made


def _scored(
    forecast: Forecast, entry: dict[str, Any], kind: str, measured: float
) -> dict[str, Any]:
    error = None if entry["expected"] is None else float(np.log(entry["expected"] / measured))
    return {
        "forecast": forecast.name,
        "study": forecast.study,
        "kind": kind,
        "run_id": entry.get("run_id"),
        "objective": entry["objective"],
        "n_params": entry["n_params"],
        "unique_tokens": entry["unique_tokens"],
        "total_tokens": entry["total_tokens"],
        "metric": entry["metric"],
        "expected": entry["expected"],
        "low": entry["low"],
        "high": entry["high"],
        "measured": measured,
        "error_log": error,
        "inside": _between(measured, entry["low"], entry["high"]),
        "quantile": _quantile(entry.get("quantiles"), measured),
        "source": entry["source"],
    }


def _between(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)


def _quantile(quantiles: dict[str, float] | None, measured: float) -> float | None:
    """The share of the forecast below what was measured, between the stored quantiles."""
    if not quantiles:
        return None
    shares = np.array([float(share) for share in quantiles])
    values = np.array(list(quantiles.values()))
    return float(np.interp(measured, values, shares, left=0.0, right=1.0))


def _score_crossovers(results: Path, forecasts: list[Forecast], scores: Scores) -> None:
    measured: dict[tuple[str, str], dict[tuple[int, int], dict[str, Any]]] = {}
    seen: set[tuple[Any, ...]] = set()
    for forecast in forecasts:
        for entry in forecast.entries("crossovers"):
            group = entry["n_params"], entry["unique_tokens"]
            key = (forecast.study, *group, entry["objective"], entry["metric"], entry["source"])
            reason = _not_scored(entry, key in seen)
            if reason is None:
                seen.add(key)
                study = forecast.study, entry["metric"]
                if study not in measured:
                    measured[study] = _measured_crossovers(results, *study)
                found = measured[study].get(group)
                reason = "not measured yet" if found is None else None
            if reason is not None:
                scores.left_out[reason] += 1
                continue
            assert found is not None
            scores.rows.append(_crossover(forecast, entry, found, scores))
    scores.rows = [row for row in scores.rows if row]


def _measured_crossovers(
    results: Path, study: str, metric: str
) -> dict[tuple[int, int], dict[str, Any]]:
    try:
        rows = crossovers(results, study, metric, _TOKENS, intervals=False)
    except InputError:
        return {}
    return {
        (row["group"]["n_params"], row["group"]["unique_tokens"]): row
        for row in rows
        if not row.get("unfinished")
    }


def _crossover(
    forecast: Forecast, entry: dict[str, Any], found: dict[str, Any], scores: Scores
) -> dict[str, Any]:
    """A crossover's row; nothing where the measurement is undecided. Where none was reached, the
    forecast holds if its interval reaches beyond the last point."""
    bounds = {"not_reached": found.get("lower_bound"), "ahead_throughout": found.get("upper_bound")}
    if found["status"] == "undecided":
        scores.left_out["undecided"] += 1
        return {}
    place = found["crossover"] if found["status"] == "crossed" else bounds[found["status"]]
    row = _scored(forecast, entry, "crossover", float(place or 0.0))
    row["status"] = found["status"]
    if found["status"] != "crossed":
        row["error_log"] = None
        beyond = entry["high"] is None or entry["high"] >= place
        before = entry["low"] is None or entry["low"] <= place
        row["inside"] = beyond if found["status"] == "not_reached" else before
    return row


def calibration(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By kind and what the forecasts came from: their number, error, bias, and how often 95 %
    intervals, and 50 % ones where quantiles are known, held; with the coverage's own interval."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["kind"], _kind_of_source(row)), []).append(row)
    return [_calibration(kind, source, own) for (kind, source), own in sorted(groups.items())]


def _kind_of_source(row: dict[str, Any]) -> str:
    return "own fits" if " fitted to " in row["source"] else row["source"]


def _calibration(kind: str, source: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    errors = np.array([row["error_log"] for row in rows if row["error_log"] is not None])
    inside = sum(row["inside"] for row in rows)
    ends = stats.binomtest(inside, len(rows)).proportion_ci(0.95, method="exact")
    shares = [row["quantile"] for row in rows if row["quantile"] is not None]
    return {
        "kind": kind,
        "source": source,
        "n": len(rows),
        "mean_abs_log": float(np.abs(errors).mean()) if len(errors) else None,
        "bias_log": float(errors.mean()) if len(errors) else None,
        "coverage": inside / len(rows),
        "coverage_ci95": [float(ends.low), float(ends.high)],
        "coverage_of_half": float(np.mean([0.25 <= share <= 0.75 for share in shares]))
        if shares
        else None,
    }


def calibration_text(row: dict[str, Any]) -> str:
    """A row of `calibration` as a sentence."""
    low, high = row["coverage_ci95"]
    error = "" if row["mean_abs_log"] is None else f", error {100 * row['mean_abs_log']:.3g} %"
    what = "a run" if row["kind"] == "run" else "a crossover"
    return (
        f"{row['n']} forecasts of {what} from {row['source']}{error}; 95 % intervals contained "
        f"{row['coverage']:.0%} ({low:.0%} to {high:.0%})."
    )


def record(results: Path) -> list[dict[str, Any]]:
    """The calibration of all forecasts of a results folder that can be scored; none where nothing
    was forecast."""
    try:
        return calibration(score_forecasts(results).rows)
    except InputError:
        return []
