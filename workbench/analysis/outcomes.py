"""What each configuration came to: its best and its last value, over its seeds."""

from pathlib import Path
from typing import Any

import numpy as np

from workbench.analysis.curves import Curve, load_curves
from workbench.analysis.pairing import SEED, identity, named_group, order_of, telling_keys
from workbench.analysis.table_rows import four_digits, interval_text, without_empty_intervals
from workbench.metrics import higher_is_better


def outcomes(results: Path, study: str, metric: str) -> list[dict[str, Any]]:
    """One row a configuration, seeds together.

    Returns:
        Rows with "group" (unique_tokens, n_params, and what else tells configurations apart),
        "objective", "seeds", "estimator", "runs", and "best", "last", "best_epoch": each with the
        mean over seeds and "ci95", the t interval of that mean (None for one seed). A run's best
        is the best of noisy points, and so flatters a little. "still_improving" counts the seeds
        whose last point is their best.

    Raises:
        InputError: no such study or metric.
    """
    higher = higher_is_better(metric)
    groups: dict[str, tuple[dict[str, Any], list[Curve]]] = {}
    for curve in load_curves(results, study, metric).curves:
        keys = {key: value for key, value in curve.keys.items() if key != SEED}
        groups.setdefault(identity(keys), (keys, []))[1].append(curve)
    told = [key for key in telling_keys([keys for keys, _ in groups.values()]) if "." in key]
    told = [key for key in told if key != "data.unique_tokens"]
    rows = []
    for keys, curves in groups.values():
        places = [int(np.argmax(c.y) if higher else np.argmin(c.y)) for c in curves]
        rows.append(
            {
                "study": study,
                "metric": metric,
                "objective": keys.get("training.objective"),
                "group": named_group(keys, told, curves[0]),
                "seeds": len(curves),
                "estimator": curves[0].estimator,
                "best": _mean([float(c.y[at]) for c, at in zip(curves, places, strict=True)]),
                "best_epoch": _mean(_epochs(curves, places)),
                "last": _mean([float(c.y[-1]) for c in curves]),
                "still_improving": sum(
                    at == len(c.y) - 1 for c, at in zip(curves, places, strict=True)
                ),
                "runs": sorted(c.run_id for c in curves),
            }
        )
    return sorted(rows, key=_place)


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Objective, size and unique tokens, then the other keys: first what has none, then numbers."""
    size, unique, _ = order_of(row["group"])
    keys = sorted(key for key in row["group"] if "." in key)
    values = [row["group"][key] for key in keys]
    return str(row["objective"]), size, unique, [
        (-1, 0.0, "") if value is None
        else (0, float(value), "") if isinstance(value, int | float)
        else (1, 0.0, str(value))
        for value in values
    ]  # fmt: skip


def _epochs(curves: list[Curve], places: list[int]) -> list[float]:
    """Where the best points lie; nothing where an import tells no epochs."""
    if not all("epochs" in c.x for c in curves):
        return []
    return [float(c.x["epochs"][at]) for c, at in zip(curves, places, strict=True)]


def _mean(values: list[float]) -> dict[str, Any]:
    if not values or not np.isfinite(values).all():
        return {"mean": None, "ci95": None}
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "ci95": None}
    from scipy import stats

    spread = float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = float(stats.t.ppf(0.975, len(values) - 1)) * spread
    return {"mean": mean, "ci95": [mean - half, mean + half]}


def outcome_table(found: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """For people: without intervals where no configuration has more than one seed."""
    return without_empty_intervals([outcome_table_row(row) for row in found])


def seeds_note(found: list[dict[str, Any]]) -> str | None:
    """Why a table has no intervals, or lacks some."""
    alone = sum(row["seeds"] == 1 for row in found)
    if not alone:
        return None
    if alone == len(found):
        return "One seed each: no intervals."
    return f"{alone} of {len(found)} rows are of one seed: no interval there."


def outcome_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """For people."""

    def text(name: str) -> str | None:
        mean = row[name]["mean"]
        return None if mean is None else four_digits(mean)

    epoch = text("best_epoch")
    return {
        "objective": row["objective"],
        **row["group"],
        "seeds": row["seeds"],
        f"best {row['metric']}": text("best"),
        "95 % interval": interval_text(row["best"]["ci95"]),
        "at epoch": f"> {epoch}" if epoch and row["still_improving"] else epoch,
        "last": text("last"),
        "95 % interval of the last": interval_text(row["last"]["ci95"]),
    }
