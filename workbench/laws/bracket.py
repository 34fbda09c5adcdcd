"""Whether a planned grid is likely to contain the crossover, before anything runs.

The expected place is the critical compute at the planned number of unique tokens: fitted to the
crossovers that this results folder already knows, or, without three of them, the published one
(Prabhudesai et al. 2025, arXiv:2507.15857), which was measured on models of 7M parameters and more.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.analysis.trends import PowerLawTrend, power_law_trend
from workbench.laws.critical_compute import PUBLISHED
from workbench.planning.plan import Plan
from workbench.store import database_path, query

FACTOR = 3.0
"""The published law has no interval: this factor either way stands in for one."""


@dataclass(frozen=True)
class Expectation:
    """C_crit at U: expected FLOPs (6 N D), and where 95 % of crossovers are expected."""

    expected: float
    low: float
    high: float
    source: str


def bracket(plan: Plan, results: Path, metric: str = "val_loss") -> list[dict[str, Any]]:
    """Compare a plan with the expected crossover, one row for each unique budget and size.

    Returns:
        "verdict": likely (the budget covers the whole expected range), uncertain, unlikely;
        "needed_tokens" and "needed_unique_tokens" are what would make it likely.
    """
    trend, count = _known_trend(results, metric)
    rows = []
    groups: dict[tuple[int, int], list[Any]] = {}
    for run in plan.runs:
        groups.setdefault((run.n_params, run.unique_tokens), []).append(run)
    for (n_params, unique), runs in sorted(groups.items()):
        objectives = {run.objective for run in runs}
        if len(objectives) < 2:
            continue
        tokens = min(run.total_tokens for run in runs)
        planned = 6.0 * n_params * tokens
        expected = _expected(unique, trend, count)
        rows.append(
            {
                "n_params": n_params,
                "unique_tokens": unique,
                "total_tokens": tokens,
                "planned_flops": planned,
                "expected_flops": expected.expected,
                "expected_range": [expected.low, expected.high],
                "expected_tokens": expected.expected / (6 * n_params),
                "expected_epochs": expected.expected / (6 * n_params) / unique,
                "verdict": _verdict(planned, expected),
                **_needed(planned, n_params, unique, expected, trend),
                "source": expected.source,
            }
        )
    return rows


def _known_trend(results: Path, metric: str) -> tuple[PowerLawTrend | None, int]:
    """The trend of the crossovers that `workbench crossover --axis tokens` has stored, and their
    number. Of a group's crossover by its band and the one read point by point, the band's counts;
    those against AR as if stopped in time are another question."""
    if not database_path(results).exists():
        return None, 0
    frame = query(
        results,
        f"""SELECT unique_tokens, n_params, status, crossover, result FROM crossovers
            WHERE axis = 'tokens' AND metric = '{metric.replace("'", "''")}'
              AND unique_tokens > 0 AND n_params > 0 AND definition IN ('band', 'point')
            QUALIFY row_number() OVER (
                PARTITION BY study, json_extract(result, '$.group') ORDER BY definition
            ) = 1""",
    )
    x, y, status = [], [], []
    for row in frame.iter_rows(named=True):
        answer = json.loads(row["result"])
        place = row["crossover"] or answer.get("lower_bound") or answer.get("upper_bound")
        if place:
            x.append(float(row["unique_tokens"]))
            y.append(6.0 * row["n_params"] * float(place))
            status.append(row["status"])
    if status.count("crossed") < 3:
        return None, len(status)
    return power_law_trend(np.array(x), np.array(y), status), len(status)


def _expected(unique: float, trend: PowerLawTrend | None, count: int) -> Expectation:
    if trend is not None and trend.exponent is not None:
        expected, interval = trend.predict(unique)
        if expected is not None and interval is not None:
            source = f"{count} crossovers in this results folder"
            return Expectation(expected, interval[0], interval[1], source)
    expected = PUBLISHED["k"] * unique ** PUBLISHED["p"]
    return Expectation(
        expected,
        expected / FACTOR,
        expected * FACTOR,
        f"arXiv:2507.15857, C_crit = 2.12 x 10^1.956 x U^2.174, with a factor of {FACTOR:g} "
        "either way",
    )


def _verdict(planned: float, expected: Expectation) -> str:
    if planned >= expected.high:
        return "likely"
    return "unlikely" if planned < expected.low else "uncertain"


def _needed(
    planned: float, n_params: int, unique: int, expected: Expectation, trend: PowerLawTrend | None
) -> dict[str, float | None]:
    """What would make the crossover likely: more tokens, or fewer unique ones."""
    if planned >= expected.high:
        return {"needed_tokens": None, "needed_unique_tokens": None}
    exponent = PUBLISHED["p"]
    if trend is not None and trend.exponent is not None and trend.exponent > 0:
        exponent = trend.exponent
    fewer = unique * (planned / expected.high) ** (1 / exponent)
    return {"needed_tokens": expected.high / (6 * n_params), "needed_unique_tokens": fewer}


def bracket_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `bracket` as table cells."""
    needed = ""
    if row["needed_tokens"] is not None:
        needed = (
            f"{row['needed_tokens']:,.3g} total tokens, or {row['needed_unique_tokens']:,.3g} "
            "unique ones"
        )
    return {
        "n_params": row["n_params"],
        "unique_tokens": row["unique_tokens"],
        "crossover": row["verdict"],
        "expected tokens": f"{row['expected_tokens']:,.3g}",
        "expected epochs": f"{row['expected_epochs']:,.3g}",
        "planned tokens": row["total_tokens"],
        "to make it likely": needed,
    }
