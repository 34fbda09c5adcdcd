"""Whether a value that is best at one size is best at others: transfer, as muP promises it.

Yang et al. 2022 (arXiv 2203.03466): under muP the best rate of a narrow model is that of a wide
one; in the standard parametrization it falls with the width.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.analysis.best_values import Finding
from workbench.analysis.intervals import RANDOM_SEED
from workbench.analysis.optimum import Optimum


def transfer_rows(members: Sequence[Finding]) -> list[dict[str, Any]]:
    """How far the optimum of the largest model lies from that of the smallest, one row for each
    number of training tokens at which there are both.

    Returns:
        Rows with "from" and "to", the numbers of parameters; "grid_step", by which factor values
        of the grid differ; "steps", how many of them the optimum moves, up or down, with "ci95",
        an end None where an optimum may be beyond its grid; "verdict": "stays" where all of the
        interval is within one step, "moves" where none of it is, else "undecided"; and "cost", how
        much worse than its own best the large model is at the small one's, with "cost_ci95", None
        where that value was not tried.
    """
    by_tokens: dict[Any, list[Finding]] = {}
    for member in members:
        by_tokens.setdefault(member.keys.get("training.total_tokens"), []).append(member)
    rows = []
    for tokens, several in by_tokens.items():
        ordered = sorted(several, key=lambda member: member.keys["n_params"])
        small, large = ordered[0], ordered[-1]
        if small.keys["n_params"] != large.keys["n_params"]:
            rows.append({"total_tokens": tokens, **_transfer(small, large)})
    return rows


def _transfer(small: Finding, large: Finding) -> dict[str, Any]:
    one, other = small.optimum, large.optimum
    assert one is not None
    assert other is not None
    step = float(np.median(np.concatenate([np.diff(one.places), np.diff(other.places)])))
    moved = None
    if one.vertex is not None and other.vertex is not None:
        moved = (other.vertex - one.vertex) / step
    ci95, verdict = None, "undecided"
    ends = _ends(one, other, step)
    if ends is not None:
        low, high = ends
        ci95 = [end if np.isfinite(end) else None for end in (low, high)]
        if low >= -1 and high <= 1:
            verdict = "stays"
        elif low > 1 or high < -1:
            verdict = "moves"
    at_large = {value["value"]: value for value in large.row["values"]}
    cost = at_large.get(small.row["best"])
    return {
        "from": small.keys["n_params"],
        "to": large.keys["n_params"],
        "best_from": small.row["best"],
        "best_to": large.row["best"],
        "grid_step": float(np.exp(step)),
        "steps": moved,
        "ci95": ci95,
        "verdict": verdict,
        "cost": cost and cost["cost"],
        "cost_ci95": cost and cost["cost_ci95"],
    }


def _ends(small: Optimum, large: Optimum, step: float) -> tuple[float, float] | None:
    """The interval of the steps between two optima whose seeds are resampled independently."""
    if small.ranges is None or large.ranges is None:
        return None
    # Both were resampled with the same random numbers: shuffled, they are independent.
    order = np.random.default_rng(RANDOM_SEED).permutation(len(small.ranges[0]))
    low = large.ranges[0][order] - small.ranges[1]
    high = large.ranges[1][order] - small.ranges[0]
    return (
        float(np.quantile(low / step, 0.025, method="inverted_cdf")),
        float(np.quantile(high / step, 0.975, method="inverted_cdf")),
    )
