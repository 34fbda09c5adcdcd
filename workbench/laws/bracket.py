"""Whether a planned grid is likely to contain the crossover, before anything runs.

The expected place is the critical compute at the planned number of unique tokens, by the first
source that knows it: measured crossovers near it, laws fitted to one study, or the published law
(`laws.evidence`).
"""

from typing import Any

from workbench.laws.critical_source import Question, Source, range_text
from workbench.laws.evidence import NEAR, Evidence
from workbench.planning.plan import Plan


def bracket(plan: Plan, evidence: Evidence) -> list[dict[str, Any]]:
    """Compare a plan with the expected crossover, one row for each unique budget and size.

    Args:
        evidence: what is known (`evidence.gather`).

    Returns:
        "verdict": likely (the budget covers the whole expected range), uncertain, unlikely;
        "expected_range", in FLOPs, and "expected_epochs_range", with None at an end that is not
        known; "needed_tokens" and "needed_unique_tokens" are what would make the crossover likely,
        None where nothing is needed or known;
        "evidence" is all that the sources say.
    """
    rows = []
    groups: dict[tuple[int, int], list[Any]] = {}
    for run in plan.runs:
        groups.setdefault((run.n_params, run.unique_tokens), []).append(run)
    for (n_params, unique), runs in sorted(groups.items()):
        if len({run.objective for run in runs}) < 2:
            continue
        tokens = min(run.total_tokens for run in runs)
        planned = 6.0 * n_params * tokens
        known = evidence.about(Question(unique, planned, n_params, tokens / unique))
        used, an_epoch = known.used, 6.0 * n_params * unique
        rows.append(
            {
                "n_params": n_params,
                "unique_tokens": unique,
                "total_tokens": tokens,
                "planned_flops": planned,
                "expected_flops": known.critical,
                "expected_range": list(used.range),
                "expected_tokens": known.critical / (6 * n_params),
                "expected_epochs": known.critical / an_epoch,
                "expected_epochs_range": [None if x is None else x / an_epoch for x in used.range],
                "verdict": _verdict(planned, used),
                **_needed(planned, n_params, unique, used),
                "source": f"{used.kind} ({used.text})",
                "evidence": known.document(),
            }
        )
    return rows


def _verdict(planned: float, used: Source) -> str:
    low, high = used.range
    if high is not None and planned >= high:
        return "likely"
    return "unlikely" if low is not None and planned < low else "uncertain"


def _needed(planned: float, n_params: int, unique: int, used: Source) -> dict[str, float | None]:
    """What would make the crossover likely: more tokens, or fewer unique ones, down to a tenth."""
    high = used.range[1]
    if high is None or planned >= high:
        return {"needed_tokens": None, "needed_unique_tokens": None}
    least = unique / NEAR  # below which another source may speak
    fewer = unique * (planned / high) ** (1 / used.exponent) if used.exponent > 0 else 0.0
    return {
        "needed_tokens": high / (6 * n_params),
        "needed_unique_tokens": fewer if fewer >= least else None,
    }


def bracket_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `bracket` as table cells."""
    needed = ""
    if row["needed_tokens"] is not None:
        needed = f"{row['needed_tokens']:,.3g} total tokens"
    if row["needed_unique_tokens"] is not None:
        needed += f", or {row['needed_unique_tokens']:,.3g} unique ones"
    return {
        "n_params": row["n_params"],
        "unique_tokens": row["unique_tokens"],
        "crossover": row["verdict"],
        "expected tokens": f"{row['expected_tokens']:,.3g}",
        "expected epochs": f"{row['expected_epochs']:,.3g}",
        "range (epochs)": range_text(*row["expected_epochs_range"]),
        "planned tokens": row["total_tokens"],
        "to make it likely": needed,
    }
