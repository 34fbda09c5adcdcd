"""Scaling laws, their backtests and forecasts, from the store."""

import json
from pathlib import Path
from typing import Any

from workbench.analysis.forecast_scores import calibration, calibration_text, score_forecasts
from workbench.analysis.table_rows import interval_text
from workbench.errors import InputError
from workbench.figures import backtest_figure, forecasts_figure
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
    fits = [json.loads(row["result"]) for row in stored]
    notes = dict.fromkeys(note for fit in fits for note in _notes(fit))
    return Section("Scaling laws", text=tuple(notes), rows=tuple(map(_fit_row, fits)), sql=(sql,))


def _fit_row(fit: dict[str, Any]) -> dict[str, Any]:
    """One fit in a line: what it is of, how it predicts, its parameters with their intervals."""
    held_out = fit["held_out"] or {}
    error = held_out.get("rmse_log")
    return {
        "law": fit["law"],
        "objective": fit["objective_name"],
        "fitted to": _fitted_to(fit),
        "held-out error": None if error is None else f"{100 * error:.3g} %",
        "tie with the best": held_out.get("tie"),
        "parameters": parameters_text(fit),
    }


def parameters_text(fit: dict[str, Any]) -> str:
    """The parameters of a fit (`Fit.row`) in a line, each with its interval."""
    return "; ".join(_parameter(fit, name) for name in fit["params"])


def _fitted_to(fit: dict[str, Any]) -> str:
    values = fit.get("fitted_to") or {}
    which = " ".join(filter(None, (values.get("at"), values.get("metric"))))
    chosen = " and ".join(values.get("where") or [])
    shared = ", ".join(fit.get("shared") or [])
    return (
        f"{fit['n']} rows"
        + (f", {which}" if which else "")
        + (f", with {chosen}" if chosen else "")
        + (f"; {shared} shared" if shared else "")
    )


def _parameter(fit: dict[str, Any], name: str) -> str:
    text = f"{name} = {fit['params'][name]:.4g}"
    if name in fit["fixed"]:
        return f"{text} (fixed)"
    interval = interval_text(fit["ci95"].get(name))
    known = "" if fit["identified"].get(name, True) else "not identified"
    return text + (f" ({', '.join(filter(None, (interval, known)))})" if interval or known else "")


def _notes(fit: dict[str, Any]) -> list[str]:
    """What stands below the table; the formula once for all fits of a law."""
    who = fit["law"] + (f", {fit['objective_name']}" if fit["objective_name"] else "")
    notes = [f"{fit['law']}: {fit['formula']} ({fit['citation']})."]
    if fit.get("ratios"):
        notes.append(f"{who}, {_fitted_to(fit)}: {ratios_line(fit['ratios'])}")
    return notes + [f"{who}: {finding}" for finding in fit["checks"]]


def backtests_section(results: Path, study: str, *, short: bool = False) -> Section | None:
    """How well laws predicted the study's larger runs from its smaller ones, or None if that was
    never asked.

    Args:
        short: only the best law of each split, and the best predictor without a law.
    """
    sql = f"""SELECT result FROM backtests WHERE study = {literal(study)}
ORDER BY result->>'$.at' DESC, along, train, objective, (result->>'$.rmse_log')::DOUBLE"""
    rows = [json.loads(row) for row in query(results, sql)["result"]]
    if not rows:
        return None
    text = (
        "Laws were fitted to some of the runs and held against the others. Errors are in percent "
        "of the loss; coverage is how often a 95 % interval held the measured loss; the last "
        "column is the error less that of the best predictor without a law.",
    )
    drawn = [row for row in rows if row.get("at") == rows[0].get("at")]
    figure = backtest_figure(drawn) if any(not row["naive"] for row in drawn) else None
    shown = _best(rows) if short else rows
    return Section(
        "Backtests", text=text, rows=tuple(map(score_row, shown)), figure=figure, sql=(sql,)
    )


def _best(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each split, objective and kind of predictor (a law or not) the first, which is the best
    one."""
    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        place = (row.get("at"), row["train"], row["objective"], row["naive"])
        best.setdefault(place, row)
    return list(best.values())


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
    figure = forecasts_figure(scores.rows, scores.left_out) if scores.rows else None
    return Section("Forecasts", text=tuple(notes), rows=rows, figure=figure, sql=(sql,))
