"""What a fitted law predicts of runs that were not trained, how surely, and how far outside the
runs that it was fitted to."""

from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.laws.backtest import prediction_interval
from workbench.laws.fitting.result import Fit
from workbench.laws.law import Floats, Law, Rows
from workbench.laws.predictors import Predictor, outside_range
from workbench.laws.registry import LAWS


def predictions(
    fit: Fit, n_params: Floats, total_tokens: Floats, unique_tokens: Floats
) -> list[dict[str, Any]]:
    """The losses that a fit predicts of runs, one row each.

    Args:
        n_params, total_tokens, unique_tokens: of each run, arrays of one length.

    Returns:
        Rows with "loss", in the units of what was fitted; "low" and "high", the 95 % interval of a
        single run's loss, and "law_low" and "law_high", that of the law alone, None without
        resampled fits; and "outside", which inputs lie outside the fitted range and how far. That
        the law itself may be wrong out there is in no interval.

    Raises:
        InputError: the law predicts no losses of runs, or an input is not above zero.
    """
    law = LAWS[fit.law]
    if not isinstance(law, Law) or not law.reads_runs:
        laws = LAWS.usable()
        able = [name for name, one in laws.items() if isinstance(one, Law) and one.reads_runs]
        raise InputError(f"{fit.law} predicts no losses of runs. Laws that do: {', '.join(able)}.")
    inputs = {"n_params": n_params, "total_tokens": total_tokens, "unique_tokens": unique_tokens}
    for name, values in inputs.items():
        if not (np.isfinite(values) & (values > 0)).all():
            raise InputError(f"{name}: expected numbers above 0.")
    predictor = Predictor.of_fit(fit, str(fit.objective_name))
    log_loss = law.log_loss(predictor.theta, Rows.of(n_params, total_tokens, unique_tokens))
    ends = dict(
        zip(
            ("low", "high", "law_low", "law_high"),
            (*prediction_interval(log_loss[1:], fit.residuals, seed=0), *_band(log_loss[1:])),
            strict=True,
        )
    )
    return [
        {
            "law": fit.law,
            "objective": fit.objective_name,
            **(run := {name: float(values[place]) for name, values in inputs.items()}),
            "loss": float(np.exp(log_loss[0, place])),
            **{
                name: float(values[place]) if np.isfinite(values[place]) else None
                for name, values in ends.items()
            },
            "outside": _outside(fit, run),
        }
        for place in range(len(n_params))
    ]


def _band(log_loss: Floats) -> tuple[Floats, Floats]:
    """The ends of the law's own 95 % interval (n,), NaN without resampled fits (S, n)."""
    if len(log_loss) < 20:
        nothing = np.full(log_loss.shape[1], np.nan)
        return nothing, nothing
    low, high = np.exp(np.quantile(log_loss, [0.025, 0.975], axis=0))
    return low, high


def _outside(fit: Fit, run: dict[str, float]) -> dict[str, str]:
    """By input, how far a run lies outside what was fitted; empty for one inside."""
    asked = run | {
        "epochs": run["total_tokens"] / run["unique_tokens"],
        "compute": 6 * run["n_params"] * run["total_tokens"],
    }
    found = {
        name: outside_range(value, fit.fitted_range.get(name)) for name, value in asked.items()
    }
    return {name: how for name, how in found.items() if how is not None}
