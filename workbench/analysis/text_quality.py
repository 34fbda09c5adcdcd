"""How the quality of generated text moves with denoising steps and length, over a study's runs.

`workbench eval --tasks text` measures single runs (`evaluation.text_quality`); here the runs of one
configuration are averaged, with intervals over seeds and the documents of the prompts.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench import stages
from workbench.analysis.curves import StudyCurves, chosen, load_several, study_metrics
from workbench.analysis.outcomes import configurations, outcomes
from workbench.analysis.run_keys import order_of
from workbench.analysis.table_rows import four_digits, interval_text
from workbench.conditions import Conditions
from workbench.errors import InputError

_LIKE = ("judge", "prompts", "prompt", "seed")
"""Parts of an estimator that comparable numbers share."""
MEASURES = ("nll", "entropy", "distinct", "copied", "flops")
_NAME = re.compile(
    rf"text_(?P<measure>{'|'.join(MEASURES)})@"
    r"(?P<made>(?P<by>.+?)-(?P<tokens>\d+)(-in-(?P<steps>\d+))?(-T(?P<temperature>[\d.e-]+))?"
    r"(@(?P<weights>ema|stable))?)"
)


def text_quality(results: Path, study: str, where: Conditions = ()) -> list[dict[str, Any]]:
    """What was measured of a study's generated texts, one row a configuration and way to make them,
    and one for the held-out text after the same prompts.

    Args:
        where: only the runs that meet these conditions.

    Returns:
        Rows with "objective", "group" (unique_tokens, n_params and the other keys that differ),
        "sampler" (None for held-out text), "temperature", "weights", "tokens", "steps" (None for
        samplers without), "seeds", "runs" and "estimators"; and each of `MEASURES` with "mean",
        "ci95", "ci95_method" and "ci95_note", None where it was not measured.

    Raises:
        InputError: no such study, its texts were not measured, or no run meets the conditions.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    named = {metric: _NAME.fullmatch(metric) for metric in study_metrics(results, study)}
    measured = {name: found for name, found in named.items() if found}
    loaded = load_several(results, study, list(measured)) if measured else {}
    loaded = _of_runs(loaded, where)
    groups = _groups(loaded)
    for metric, found in measured.items():
        if not loaded[metric].curves:
            continue
        stages.doing(metric)
        for outcome in outcomes(results, study, metric, loaded=loaded[metric]):
            key = found["made"], *outcome["runs"]
            row = rows.setdefault(key, _row(outcome, groups[outcome["runs"][0]], found))
            row[found["measure"]] = outcome["last"]
            own = {c.estimator for c in loaded[metric].curves if c.run_id in outcome["runs"]}
            row["estimators"] = sorted({*row["estimators"], *map(str, own)})
    if not rows:
        raise InputError(
            f"study {study}: no texts of its runs were measured. `workbench eval RUN --tasks text` "
            "measures those of a run."
        )
    return sorted(rows.values(), key=_place)


def _of_runs(loaded: dict[str, StudyCurves], where: Conditions) -> dict[str, StudyCurves]:
    """The curves of runs that meet the conditions; a metric may have none, another has some."""
    if not where or not loaded:
        return loaded
    ids = {curve.run_id for curve in chosen(_together(loaded), where).curves}
    return {
        metric: replace(one, curves=[curve for curve in one.curves if curve.run_id in ids])
        for metric, one in loaded.items()
    }


def _together(loaded: dict[str, StudyCurves]) -> StudyCurves:
    """A curve of each run, of whichever metric it has."""
    curves = {curve.run_id: curve for one in loaded.values() for curve in one.curves}
    return replace(next(iter(loaded.values())), curves=list(curves.values()))


def _groups(loaded: dict[str, StudyCurves]) -> dict[str, dict[str, Any]]:
    """What each run's configuration is called among all of those measured, not only among those
    that have one metric: samplers of AR have no steps."""
    if not loaded:
        return {}
    named = configurations(_together(loaded))
    return {curve.run_id: one.group for one in named for curve in one.curves}


def _row(outcome: dict[str, Any], group: dict[str, Any], found: "re.Match[str]") -> dict[str, Any]:
    steps, temperature = found["steps"], found["temperature"]
    held_out = found["by"] == "held-out"
    return {
        "study": outcome["study"],
        "objective": outcome["objective"],
        "group": group,
        "sampler": None if held_out else found["by"],
        "temperature": None if held_out else float(temperature or 1),
        "weights": found["weights"],
        "tokens": int(found["tokens"]),
        "steps": None if steps is None else int(steps),
        "seeds": outcome["seeds"],
        **dict.fromkeys(MEASURES),
        "estimators": [],
        "runs": outcome["runs"],
    }


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Sorts as outcomes are, then held-out text first, then by length and steps."""
    made = row["sampler"] or "", row["tokens"], row["steps"] or 0, row["temperature"] or 0
    return str(row["objective"]), *order_of(row["group"]), *made, row["weights"] or ""


def text_notes(rows: list[dict[str, Any]]) -> list[str]:
    """What makes rows, or the runs of one, unlike each other: judges, prompts or seeds that differ;
    and runs that judge themselves."""
    settings: dict[str, set[str]] = {}
    for row in rows:
        for estimator in row["estimators"]:
            for part in estimator.split("/"):
                key, _, value = part.partition("=")
                settings.setdefault(key, set()).add(value)
    notes = [
        f"{key} differs among these numbers ({', '.join(sorted(settings[key]))}): like is not "
        "compared with like. Evaluate all runs in one command, or choose runs by --where"
        for key in _LIKE
        if len(settings.get(key, ())) > 1
    ]
    themselves = sorted(settings.get("judge", set()) & {run for row in rows for run in row["runs"]})
    if themselves:
        notes.append(f"run {', '.join(themselves)} judges its own texts too")
    return [f"Note: {note}." for note in notes]


def text_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `text_quality` as table cells."""

    def cell(name: str) -> str | None:
        if row[name] is None or row[name]["mean"] is None:
            return None
        digits = four_digits(row[name]["mean"])
        return f"{row[name]['mean']:.3g}" if name == "flops" else digits

    nll = row["nll"] or {}
    return {
        "objective": row["objective"],
        **row["group"],
        "texts": row["sampler"] or "held-out text",
        **({} if row["weights"] is None else {"weights": row["weights"]}),
        **({} if row["temperature"] in (None, 1) else {"temperature": row["temperature"]}),
        "tokens": row["tokens"],
        "steps": row["steps"],
        "seeds": row["seeds"],
        "judge's NLL": cell("nll"),
        "95 % interval": interval_text(nll.get("ci95")),
        "entropy": cell("entropy"),
        "distinct 4-grams": cell("distinct"),
        "copied": cell("copied"),
        "FLOPs a token": cell("flops"),
    }
