"""The best and the last value of each configuration, over its seeds."""

from pathlib import Path
from typing import Any

import numpy as np

from workbench.analysis.curves import Curve, load_curves
from workbench.analysis.pairing import SEEDS, distinguishing_keys, identity, named_group, order_of
from workbench.analysis.table_rows import four_digits, interval_text, without_empty_intervals
from workbench.metrics import higher_is_better


def outcomes(results: Path, study: str, metric: str) -> list[dict[str, Any]]:
    """Each configuration's best and last value, one row a configuration, seeds averaged.

    Returns:
        Rows with "group" (unique_tokens, n_params, and the other keys that differ),
        "objective", "seeds", "estimator", "runs", and "best", "last", "best_epoch": each with the
        mean over seeds and "ci95", the t interval of that mean (None for one seed). A run's best
        is the best of noisy points, so it is a little too good. "still_improving" counts the seeds
        whose last point is their best.

    Raises:
        InputError: no such study or metric.
    """
    higher = higher_is_better(metric)
    groups: dict[str, tuple[dict[str, Any], list[Curve]]] = {}
    for curve in load_curves(results, study, metric).curves:
        keys = {key: value for key, value in curve.keys.items() if key not in SEEDS}
        groups.setdefault(identity(keys), (keys, []))[1].append(curve)
    differing = [
        key
        for key in distinguishing_keys([keys for keys, _ in groups.values()])
        if "." in key and key != "data.unique_tokens"
    ]
    rows = []
    for keys, curves in groups.values():
        places = [int(np.argmax(c.y) if higher else np.argmin(c.y)) for c in curves]
        rows.append(
            {
                "study": study,
                "metric": metric,
                "objective": keys.get("training.objective"),
                "group": named_group(keys, differing, curves[0]),
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
    """Sorts by objective, size, unique tokens and other keys: None first, then numbers, texts."""
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
    """The epochs of the best points; an empty list where imported curves have no epochs."""
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


def outcome_table(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Outcomes as a table, without intervals where no configuration has several seeds."""
    return without_empty_intervals([outcome_table_row(row) for row in rows])


def seeds_note(rows: list[dict[str, Any]]) -> str | None:
    """Why a table has no intervals, or lacks some."""
    single_seed = sum(row["seeds"] == 1 for row in rows)
    if not single_seed:
        return None
    if single_seed == len(rows):
        return "One seed each: no intervals."
    return f"{single_seed} of {len(rows)} rows are of one seed: no interval there."


def outcome_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `outcomes` as table cells."""

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
