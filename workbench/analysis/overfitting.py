"""Where training longer starts to hurt: the epoch of the best held-out loss.

arXiv 2511.03276, Figure 11: the more unique tokens, the later a model overfits; the larger the
model, the earlier.
"""

from pathlib import Path
from typing import Any

import numpy as np

from workbench.analysis.curves import Curve, load_curves, require_axis
from workbench.analysis.intervals import interval_over_seeds, smooth_curve
from workbench.analysis.run_keys import (
    SEEDS,
    differing_keys,
    following_keys,
    identity,
    named_group,
    order_of,
)
from workbench.analysis.texts import texts_of
from workbench.analysis.trends import trends
from workbench.errors import InputError
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import keys_of_some_objectives

OBJECTIVE = "training.objective"
# A rise has to pass this many standard deviations of a point's noise. The best of many points is
# that low by chance already (in simulations, half of all plateaus of 50 points), so that the
# smooth curve has to rise too, by at least one.
_NOISE = 2.0
_SMOOTH_NOISE = 1.0


def overfitting_onset(results: Path, study: str, metric: str = "val_loss") -> list[dict[str, Any]]:
    """The epoch from which each configuration's loss rises, one row a configuration.

    A run has reached its onset where its last loss is above its best by more than twice the
    noise: the scatter around a smooth curve, or, with fewer than 8 points, the standard error.
    The smooth curve has to rise too, by more than the noise. Else the last epoch is a lower
    bound of the onset.

    Returns:
        Rows with "group" (unique_tokens, n_params, objective, and what else differs), "status"
        "reached" or "not_reached", "epochs" and "tokens" of the onset (geometric mean over
        seeds; None unless all seeds reached it), "lower_bound" in epochs, "rise" (last - best,
        mean over seeds, in the metric's unit), "ci95" in epochs over seeds, and each of "runs".

    Raises:
        InputError: no such study or metric, runs without epochs, or a metric where higher is
            better.
    """
    if higher_is_better(metric):
        raise InputError(f"{metric}: overfitting is read from a loss, and higher is better here.")
    loaded = load_curves(results, study, metric)
    require_axis(loaded.curves, "epochs")
    require_axis(loaded.curves, "tokens")
    groups: dict[str, tuple[dict[str, Any], list[Curve]]] = {}
    for curve in loaded.curves:
        keys = {key: value for key, value in curve.keys.items() if key not in _ignored_keys()}
        groups.setdefault(identity(keys), (keys, []))[1].append(curve)
    named = [keys for keys, _ in groups.values()]
    shapes = {key for key in following_keys(named, "n_params") if key.startswith("model.")}
    differing = [key for key in differing_keys(named) if key not in shapes | {OBJECTIVE}]
    rows = []
    for keys, curves in groups.values():
        group = {
            **named_group(keys, [], curves[0]),
            "objective": keys.get(OBJECTIVE),
            **{key: keys.get(key) for key in differing},
        }
        rows.append({"study": study, "metric": metric, "group": group, **_onset(curves)})
    return sorted(rows, key=lambda row: (str(row["group"]["objective"]), order_of(row["group"])))


def _ignored_keys() -> set[str]:
    """Keys that do not distinguish configurations: the seed, and what follows the objective."""
    return set(SEEDS) | keys_of_some_objectives()


def _onset(curves: list[Curve]) -> dict[str, Any]:
    runs = [onset_of_run(curve) for curve in curves]
    reached = [run for run in runs if run["status"] == "reached"]
    row: dict[str, Any] = {
        "status": "reached" if len(reached) == len(runs) else "not_reached",
        "epochs": None,
        "tokens": None,
        "lower_bound": None,
        "last_epoch": max(run["last_epoch"] for run in runs),
        "rise": float(np.mean([run["rise"] for run in runs])),
        "ci95": None,
        "ci95_method": None,
        "ci95_note": None,
        "seeds": len({curve.seed for curve in curves}),
        "imported": any(curve.imported for curve in curves),
        "runs": runs,
    }
    places = [run["epochs"] if run["epochs"] is not None else run["lower_bound"] for run in runs]
    middle = _geometric_mean(places)
    if row["status"] == "not_reached":
        # The mean over seeds lies beyond the mean of what each of them at least reached.
        row["lower_bound"] = middle
        row["ci95_note"] = f"{len(reached)} of {len(runs)} runs reached it"
    else:
        row["epochs"], row["tokens"] = middle, _geometric_mean([run["tokens"] for run in runs])
        if len(runs) < 2:
            row["ci95_note"] = "one seed"
        elif min(places) > 0:
            row |= interval_over_seeds(places, texts_of(curves))
        else:
            row["ci95_note"] = "an onset at zero, where there is no logarithm"
    return row


def _geometric_mean(values: list[float]) -> float:
    if len(values) == 1:
        return values[0]  # as it was measured, unrounded
    return float(np.exp(np.mean(np.log(values)))) if min(values) > 0 else 0.0


def onset_of_run(curve: Curve) -> dict[str, Any]:
    """One run's onset: where its loss was best, if it has risen from there by more than noise.

    Returns:
        "run_id", "seed", "status", "epochs", "tokens" (both None unless reached),
        "lower_bound" (epochs, None where reached), "last_epoch", "best", "last", "rise" and
        "noise" (the metric's unit; None where it is not known).
    """
    place = int(np.argmin(curve.y))
    best, last = float(curve.y[place]), float(curve.y[-1])
    noise, smooth_rise = _noise(curve, place)
    reached = last - best > _NOISE * (noise or 0.0)
    if smooth_rise is not None and noise is not None:
        reached = reached and smooth_rise > _SMOOTH_NOISE * noise
    last_epoch = float(curve.x["epochs"][-1])
    return {
        "run_id": curve.run_id,
        "seed": curve.keys.get("training.seed"),
        "status": "reached" if reached else "not_reached",
        "epochs": float(curve.x["epochs"][place]) if reached else None,
        "tokens": float(curve.x["tokens"][place]) if reached else None,
        "lower_bound": None if reached else last_epoch,
        "last_epoch": last_epoch,
        "best": best,
        "last": last,
        "rise": last - best,
        "noise": noise,
    }


def _noise(curve: Curve, place: int) -> tuple[float | None, float | None]:
    """The noise of one point, and the rise of the smooth curve, in the metric's unit."""
    smooth = smooth_curve(curve.x["tokens"], curve.y)
    if smooth is not None:
        return smooth.noise, float(smooth.fitted[-1] - smooth.fitted.min())
    errors = curve.stderr[[place, -1]]
    return (float(np.max(errors)) if np.isfinite(errors).all() else None), None


def onset_trends(
    rows: list[dict[str, Any]], against: str = "unique_tokens"
) -> list[dict[str, Any]]:
    """How the onset, in epochs, moves with unique tokens or model size, an objective at a time.

    Args:
        rows: what `overfitting_onset` returned.
        against: "unique_tokens", "n_params", or another key of the groups.

    Returns:
        Rows as of `trends.crossover_trends`; "group" names the objective.

    Raises:
        InputError: no group has such a key.
    """
    answers: list[dict[str, Any]] = []
    for objective in sorted({str(row["group"]["objective"]) for row in rows}):
        places = [
            {
                **row,
                "axis": "epochs",
                "status": "crossed" if row["status"] == "reached" else "not_reached",
                "crossover": row["epochs"],
                "upper_bound": None,
                "group": {k: v for k, v in row["group"].items() if k != "objective"},
            }
            for row in rows
            if str(row["group"]["objective"]) == objective
        ]
        answers += [
            {**answer, "group": {"objective": objective, **answer["group"]}}
            for answer in trends(places, against, ("study", "metric", "axis"), what="onsets")
        ]
    return answers
