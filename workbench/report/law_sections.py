"""Scaling laws, their backtests and forecasts, from the store."""

import json
from pathlib import Path
from typing import Any

from workbench.analysis.forecast_scores import calibration, calibration_text, score_forecasts
from workbench.analysis.table_rows import interval_text
from workbench.errors import InputError
from workbench.figures import backtest_figure
from workbench.laws.backtest import score_row
from workbench.laws.fitting.ratios import ratios_line
from workbench.report.sections import Section
from workbench.store import query
from workbench.store.query import literal


def fits_section(results: Path, study: str) -> Section | None:
    """The parameters of every fit in the store, or None if there is none."""
    sql = f"""SELECT law, objective, result FROM fits
WHERE study = {literal(study)} ORDER BY law, objective"""
    stored = query(results, sql).to_dicts()
    if not stored:
        return None
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for row in stored:
        fit = json.loads(row["result"])
        for name, value in fit["params"].items():
            rows.append(
                {
                    "law": fit["law"],
                    "objective": fit["objective_name"],
                    "parameter": name,
                    "value": value,
                    "95 % interval": interval_text(fit["ci95"].get(name)),
                    "identified": "held" if name in fit["fixed"] else fit["identified"].get(name),
                }
            )
        notes += _notes(fit)
    return Section("Scaling laws", text=tuple(notes), rows=tuple(rows), sql=(sql,))


def _notes(fit: dict[str, Any]) -> list[str]:
    who = fit["law"] + (f", {fit['objective_name']}" if fit["objective_name"] else "")
    r2 = "" if fit["r2"] is None else f", R2 {fit['r2']:.4f}"
    notes = [f"{who}: {fit['formula']} ({fit['citation']}). {fit['n']} rows{r2}."]
    error = (fit["held_out"] or {}).get("rmse_log")
    if error is not None:
        notes.append(f"{who}: held-out error {100 * error:.3g} % on the runs of most compute.")
    if fit.get("ratios"):
        notes.append(f"{who}: {ratios_line(fit['ratios'])}")
    return notes + [f"{who}: {finding}" for finding in fit["checks"]]


def backtests_section(results: Path, study: str) -> Section | None:
    """How well laws predicted the study's larger runs from its smaller ones, or None if that was
    never asked."""
    sql = f"""SELECT result FROM backtests WHERE study = {literal(study)}
ORDER BY along, train, objective, (result->>'$.rmse_log')::DOUBLE"""
    rows = [json.loads(row) for row in query(results, sql)["result"]]
    if not rows:
        return None
    text = (
        "Laws were fitted to some of the runs and held against the others. Errors are in percent "
        "of the loss; coverage is how often a 95 % interval held the measured loss; the last "
        "column is the error less that of the best predictor without a law.",
    )
    figure = backtest_figure(rows) if any(not row["naive"] for row in rows) else None
    return Section(
        "Backtests", text=text, rows=tuple(map(score_row, rows)), figure=figure, sql=(sql,)
    )


def forecasts_section(results: Path, study: str) -> Section | None:
    """What was forecast beside what was measured, or None if nothing was forecast."""
    sql = f"""SELECT kind, run_id, objective, n_params, unique_tokens, total_tokens, metric, made,
       expected, low, high, source, after_the_fact, problem
FROM forecasts WHERE study = {literal(study)} ORDER BY kind DESC, made, run_id, n_params"""
    if query(results, sql).is_empty():
        return None
    try:
        scores = score_forecasts(results, study)
    except InputError:  # a dataset, which has no documents
        return Section("Forecasts", rows=tuple(query(results, sql).to_dicts()), sql=(sql,))
    notes = [calibration_text(row) for row in calibration(scores.rows)]
    notes += [f"Not scored: {count}: {reason}." for reason, count in scores.left_out.items()]
    rows = tuple(
        {
            "forecast of": row["kind"],
            "objective": row["objective"],
            "n_params": row["n_params"],
            "unique_tokens": row["unique_tokens"],
            "total_tokens": row["total_tokens"],
            "expected": row["expected"],
            "95 % interval": interval_text([row["low"], row["high"]]),
            "measured": row["measured"],
            "inside": row["inside"],
        }
        for row in scores.rows
    )
    return Section("Forecasts", text=tuple(notes), rows=rows, sql=(sql,))
