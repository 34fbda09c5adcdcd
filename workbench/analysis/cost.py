"""What the best value cost: training FLOPs of each objective (arXiv 2511.03276, Figure 12, left).

The paper's diffusion models need over 100 times the FLOPs of AR to reach their best. While
diffusion still improves at the end of a run, its cost is a lower bound, and so is the ratio. Where
the energy of training was measured, what it took up to the same place stands beside.
"""

from pathlib import Path
from typing import Any

import numpy as np

from workbench.analysis.curves import Curve, load_curves, require_axis
from workbench.analysis.pairing import compared_pairs, mean_curve, named_runs, side_name
from workbench.metrics import higher_is_better
from workbench.store import query
from workbench.store.query import literal


def flops_to_best(results: Path, study: str, metric: str) -> list[dict[str, Any]]:
    """One row a group: FLOPs to the best value of baseline and challenger, and their ratio.

    `bound` of a side is "lower" where its best value is the last one measured. `ratio_bound`
    is "lower" where only the challenger's is, "upper" where only the baseline's is; where both
    are, no ratio is known. `joules` of a side is the mean over its runs of what their training
    steps took up to there; None unless all of them were measured.

    Raises:
        InputError: no such study or metric, no pairs, or runs without FLOPs.
    """
    loaded = load_curves(results, study, metric)
    sides, pairs = compared_pairs(loaded)
    require_axis([curve for pair in pairs for curve in pair.baseline + pair.challenger], "flops")
    energy = _energy(results, study)
    rows = []
    for pair in pairs:
        baseline, challenger = (
            _best(curves, metric, energy) for curves in (pair.baseline, pair.challenger)
        )
        rows.append(
            {
                "study": study,
                "metric": metric,
                "group": pair.group,
                "baseline": {"name": side_name(sides[0]), **baseline},
                "challenger": {"name": side_name(sides[1]), **challenger},
                **_ratio(baseline, challenger),
                **named_runs(pair.baseline, pair.challenger),
            }
        )
    return rows


def _energy(results: Path, study: str) -> dict[str, tuple[Any, Any]]:
    """The (tokens, joules) measured in each run of a study; none of runs without."""
    frame = query(
        results,
        f"""SELECT run_id, list(tokens ORDER BY tokens) AS tokens,
                  list(value ORDER BY tokens) AS joules
           FROM metrics JOIN study_runs USING (run_id)
           WHERE study = {literal(study)} AND metric = 'train_joules' AND value IS NOT NULL
           GROUP BY run_id""",
    )
    return {run_id: (tokens, joules) for run_id, tokens, joules in frame.iter_rows()}


def _best(curves: list[Curve], metric: str, energy: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    flops, values = mean_curve(curves, "flops")
    place = int(np.argmax(values) if higher_is_better(metric) else np.argmin(values))
    tokens = mean_curve(curves, "tokens")[0]
    return {
        "flops": float(flops[place]),
        "tokens": float(tokens[place]),
        "value": float(values[place]),
        "bound": "lower" if place == len(values) - 1 else None,
        "joules": _joules_at(float(tokens[place]), curves, energy),
    }


def _joules_at(
    tokens: float, curves: list[Curve], energy: dict[str, tuple[Any, Any]]
) -> float | None:
    measured = [energy.get(curve.run_id, ([0], [0])) for curve in curves]
    if any(tokens > own[-1] for own, _ in measured):
        return None
    return float(np.mean([np.interp(tokens, [0, *own], [0.0, *spent]) for own, spent in measured]))


def _ratio(baseline: dict[str, Any], challenger: dict[str, Any]) -> dict[str, Any]:
    both = baseline["bound"] is not None and challenger["bound"] is not None
    if both:
        note = "both still improve at the end: no ratio is known"
        return {"ratio": None, "ratio_bound": None, "note": note}
    ratio = challenger["flops"] / baseline["flops"]
    if challenger["bound"]:
        note = "the challenger still improves at the end: a lower bound"
        return {"ratio": ratio, "ratio_bound": "lower", "note": note}
    if baseline["bound"]:
        note = "the baseline still improves at the end: an upper bound"
        return {"ratio": ratio, "ratio_bound": "upper", "note": note}
    return {"ratio": ratio, "ratio_bound": None, "note": None}


def cost_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `flops_to_best` as table cells, signs before bounds."""
    signs = {"lower": "> ", "upper": "< ", None: ""}
    cells = {**row["group"]}
    for side in ("baseline", "challenger"):
        values = row[side]
        cells[f"best {row['metric']} of {values['name']}"] = values["value"]
        cells[f"FLOPs of {values['name']}"] = f"{signs[values['bound']]}{values['flops']:.3g}"
        if values.get("joules") is not None:
            cells[f"joules of {values['name']}"] = f"{signs[values['bound']]}{values['joules']:.3g}"
    ratio = row["ratio"]
    cells["ratio"] = None if ratio is None else f"{signs[row['ratio_bound']]}{ratio:,.3g}x"
    return cells
