"""The laws that advice predicts losses with: of a study's own runs, or from the literature."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import InputError
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.result import Fit
from workbench.laws.fitting.study_table import study_table
from workbench.laws.law import Floats, Law
from workbench.laws.registry import LAWS
from workbench.laws.request import fit_options, get_law
from workbench.recipe.objectives import BASELINE, CHALLENGER, OBJECTIVES
from workbench.store import database_path, fit_identity, query
from workbench.store.parquet.layout import is_dataset

DRAWS = 200  # resamples that intervals are worked out from


@dataclass(frozen=True)
class Predictor:
    """One objective's law: best parameters (1, p) first, then resamples, as internal values.

    `fitted_range` has the least and the greatest fitted value of each input; it is empty where
    the source does not give one.
    """

    objective: str
    law: Law
    theta: Floats
    fitted_range: dict[str, tuple[float, float]]
    source: str
    estimator: str

    @classmethod
    def of_fit(cls, fit: Fit, objective: str) -> "Predictor":
        law = LAWS[fit.law]
        assert isinstance(law, Law)
        best = law.internal(fit.params)
        draws = np.tile(best, (1 + (DRAWS if fit.draws else 0), 1))
        for name, values in (fit.draws or {}).items():
            parameter = law.parameter(name)
            own = values[:DRAWS]
            internal = np.log(own) if parameter.log else own
            draws[1 : 1 + len(own), law.names.index(name)] = internal
        return cls(
            objective,
            law,
            draws,
            fit.fitted_range,
            fit.table.source if fit.table else "",
            _estimator(objective),
        )


def study_predictors(
    results: Path, study: str, metric: str, law: str, fixed: Mapping[str, str | float]
) -> list[Predictor]:
    """AR's and the challenger's laws, fitted to a study's runs.

    Raises:
        InputError: the study does not have AR and exactly one other objective, or has too few runs
            for the law.
    """
    chosen = get_law(law) if law in LAWS else None
    if not isinstance(chosen, Law):
        allowed = ", ".join(
            name for name, candidate in LAWS.usable().items() if isinstance(candidate, Law)
        )
        raise InputError(f"--law {law}: advice needs a law that predicts losses: {allowed}.")
    options = fit_options(
        fixed, {}, None, joint=False, two_stage=False, starts=64, resamples=DRAWS, seed=0,
        diagnostics=False,
    )  # fmt: skip
    table = study_table(results, study, metric, "last")
    return paired_predictors(fit_law(chosen, table, options))


def paired_predictors(fits: list[Fit]) -> list[Predictor]:
    """AR's and the challenger's laws, from fits of one law to each objective.

    Raises:
        InputError: the fits are not of AR and exactly one other objective.
    """
    by_name = {fit.objective_name: fit for fit in fits}
    others = [name for name in by_name if name not in (None, BASELINE)]
    if BASELINE not in by_name or len(others) != 1:
        source = fits[0].table.source if fits and fits[0].table else "no fits"
        raise InputError(
            f"{source}: advice compares {BASELINE} with one other objective; here: "
            f"{', '.join(map(str, by_name)) or 'none'}."
        )
    return [Predictor.of_fit(by_name[name], str(name)) for name in (BASELINE, others[0])]


def stored_predictors(results: Path) -> list[list[Predictor]]:
    """AR's and another objective's law of each study that has both in the store's fits, to the same
    values; those with the least held-out error first.

    Fits in the store have no resamples, so what they say has no interval.
    """
    if not (is_dataset(results) or database_path(results).exists()):
        return []
    rows = query(results, "SELECT study, law, objective, result FROM fits ORDER BY ALL").to_dicts()
    laws = LAWS.usable() if rows else {}  # a plug-in of a stored fit may be gone
    pairs: dict[tuple[str, str], list[Predictor]] = {}
    errors: dict[tuple[str, str], float] = {}
    for row in rows:
        law, fit = laws.get(row["law"]), json.loads(row["result"])
        if isinstance(law, Law) and row["objective"] and set(law.names) <= set(fit["params"]):
            own = Predictor(
                row["objective"],
                law,
                law.internal(fit["params"])[None],
                {name: (low, high) for name, (low, high) in fit["fitted_range"].items()},
                f"study {row['study']}",
                _estimator(row["objective"]),
            )
            same = (row["study"], fit_identity(fit))
            pairs.setdefault(same, []).append(own)
            error = (fit.get("held_out") or {}).get("rmse_log")
            errors[same] = errors.get(same, 0.0) + (np.inf if error is None else float(error))
    ordered = (
        sorted(pairs[same], key=lambda p: p.objective != BASELINE)
        for same in sorted(pairs, key=lambda same: errors[same])
    )
    return [pair for pair in ordered if len(pair) == 2 and pair[0].objective == BASELINE]


def outside_range(value: float, fitted: tuple[float, float] | None) -> str | None:
    """How far a value lies outside the range that a law was fitted to."""
    if fitted is None or fitted[0] <= value <= fitted[1]:
        return None
    if value > fitted[1]:
        return f"{value / fitted[1]:.3g} times above the largest fitted"
    return f"{fitted[0] / value:.3g} times below the smallest fitted"


def _estimator(objective: str) -> str:
    facts = OBJECTIVES.get(objective)
    return facts.estimator if facts else "unknown"


def published_predictors() -> list[Predictor]:
    """The literature's laws: data-constrained for AR, Quokka's for masked diffusion."""
    chosen = ((BASELINE, "data_constrained"), (CHALLENGER, "quokka"))
    known_ranges = {  # its published runs; Quokka's paper gives no table
        "data_constrained": {
            "n_params": (7e6, 8.7e9),
            "total_tokens": (1e8, 9e11),
            "unique_tokens": (1e8, 1.78e11),
            "epochs": (1.0, 9000.0),
            "compute": (4.2e15, 9.3e21),
        },
        "quokka": {},
    }
    predictors = []
    for objective, name in chosen:
        law = LAWS[name]
        assert isinstance(law, Law)
        theta = law.internal(law.published)[None]
        source = f"{law.citation} ({law.published_for})"
        estimator = OBJECTIVES[objective].estimator
        predictors.append(Predictor(objective, law, theta, known_ranges[name], source, estimator))
    return predictors
