"""Tokens that a run has seen at each of its steps."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.importing.run_log import RunLog
from workbench.importing.tags import Tags


def tokens_at(
    log: RunLog,
    tags: Tags,
    facts: Mapping[str, Any],
    steps: "np.ndarray[Any, Any]",
    units: Mapping[str, float],
    *,
    pace_given: bool,
) -> tuple["np.ndarray[Any, Any]", bool]:
    """Tokens seen at each step, and whether they are counted back from the run's last step.

    They come from `tokens_per_step` where the user gave it, else from the run's own count, else
    from the `tokens_per_step` that the log tells, else from its epochs where steps are epochs, else
    from the samples that it counted, else from its last step, which is taken for its end.

    Args:
        units: what one of `total_tokens` and `unique_tokens` is.
        pace_given: whether the user gave `tokens_per_step`.

    Raises:
        InputError: a count falls, or nothing tells tokens.
    """
    if log.over_tokens:
        return steps, False
    end = facts.get("total_tokens")
    if tags.tokens is not None and not pace_given:
        return _interpolated(log, tags.tokens, units.get("total_tokens", 1.0), steps), False
    if "tokens_per_step" in facts:
        return np.round(steps * facts["tokens_per_step"]).astype(np.int64), False
    if log.steps_are_epochs and "unique_tokens" in facts:
        each = float(facts["unique_tokens"]) * units.get("unique_tokens", 1.0)
        return np.round(steps * each).astype(np.int64), False
    if tags.samples is not None:
        if "tokens_per_sample" in facts:
            return _interpolated(log, tags.samples, facts["tokens_per_sample"], steps), False
        last = max(log.scalars[tags.samples].values())
        if last > 0 and end is not None:
            return _interpolated(log, tags.samples, end / last, steps), True
    if end is None:
        raise InputError(
            "nothing tells how many tokens it had seen. Give --column tokens_per_step=N, or "
            "--column total_tokens=TAG where a tag counts them."
        )
    last_step = max((max(s) for tag, s in log.scalars.items() if tag in tags.steps), default=0)
    if last_step <= 0 and len(steps):
        raise InputError(
            "every event is at step 0, so its tokens are unknown. Give --column tokens_per_step=N."
        )
    return np.round(steps * (end / max(last_step, 1))).astype(np.int64), True


def _interpolated(
    log: RunLog, tag: str, scale: float, steps: "np.ndarray[Any, Any]"
) -> "np.ndarray[Any, Any]":
    """A count at any step, linear between the logged ones.

    It starts at 0, or at one step's tokens where steps are numbered from 0 as of Lightning, and
    continues after the last logged step at the average pace up to it.
    """
    logged = {0: _start(log.scalars[tag])} | log.scalars[tag]
    x = np.array(sorted(logged), dtype=float)
    y = np.array([logged[int(step)] for step in x]) * scale
    if not np.isfinite(y).all() or (np.diff(y) < 0).any():
        raise InputError(f"the tag {tag} counts tokens or samples, yet it falls.")
    pace = (y[-1] - y[0]) / x[-1] if x[-1] > 0 else 0.0
    tokens = np.where(steps > x[-1], y[-1] + (steps - x[-1]) * pace, np.interp(steps, x, y))
    return np.round(tokens).astype(np.int64)


def _start(counts: Mapping[int, float]) -> float:
    """The count at step 0, by the first two: 0, unless they lie on a line that begins with one
    step's tokens."""
    first, second = sorted(counts)[:2] if len(counts) > 1 else (0, 0)
    if first == second:
        return 0.0
    pace = (counts[second] - counts[first]) / (second - first)
    begins = math.isclose(counts[first], pace * (first + 1), rel_tol=1e-5)  # of 32-bit floats
    return pace if begins else 0.0
