"""What is expected of a planned study: the loss of each run, and each crossover, with intervals.

Losses come from laws fitted to finished runs of the same kind: of each objective the law that a
backtest along compute finds best, or of laws that are as good within a standard error the one with
the fewest parameters. Crossovers come from what `plan --bracket` knows, and from where the two
laws' losses cross.
"""

from pathlib import Path
from typing import Any

import numpy as np

from workbench.laws.backtest import prediction_draws
from workbench.laws.best_loss import crossing_place
from workbench.laws.bracket import bracket
from workbench.laws.comparable_runs import comparable_runs
from workbench.laws.evidence import gather
from workbench.laws.expected import BEST, Expected, Say, expected_losses
from workbench.laws.law import Rows
from workbench.planning.plan import Plan, RunSpec
from workbench.recipe import Recipe
from workbench.recipe.objectives import BASELINE
from workbench.runs.folder import RunFolder
from workbench.runs.forecasts import has_records
from workbench.runs.provenance import provenance
from workbench.version import __version__

QUANTILES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
_STEPS = 60  # of tokens, between which a crossing is looked for


def make_forecast(
    recipe: Recipe,
    plan: Plan,
    results: Path,
    *,
    studies: list[str] | None = None,
    law: str = BEST,
    metric: str = "val_loss",
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """The forecast of a plan whose run ids are known, as a document for `write_forecast`.

    Args:
        studies: whose runs laws are fitted to; by default all finished runs of the same kind.
        law: one law's name, or "best".

    Raises:
        InputError: no such study or law.
    """
    chosen = _sources(plan, results, studies)
    losses, notes = expected_losses(results, chosen, law, metric, say)
    known = {run.run_id: has_records(_folder(results, run)) for run in plan.runs}
    origin = provenance(recipe.text)
    return {
        "version": __version__,
        "git": origin["git"],
        "recipe_sha256": origin["recipe_sha256"],
        "metric": metric,
        "inputs": _inputs(losses, chosen),
        "notes": notes,
        "runs": [_run(run, losses, metric, known[run.run_id]) for run in plan.runs],
        "crossovers": _crossovers(plan, results, losses, metric, known),
    }


def _folder(results: Path, run: RunSpec) -> RunFolder:
    return RunFolder(results / "runs" / str(run.run_id))


def _sources(plan: Plan, results: Path, studies: list[str] | None) -> dict[str, list[str] | None]:
    """The studies to fit laws to, and which of their runs: None for all."""
    if studies:
        return dict.fromkeys(studies)
    return dict(comparable_runs(results, plan.runs))


def _inputs(losses: dict[str, Expected], sources: dict[str, list[str] | None]) -> dict[str, Any]:
    """What the laws were fitted to: run by run, so that anyone can fit them again."""
    return {
        "studies": sorted(sources),
        "fits": {
            objective: {
                "law": one.law.name,
                "params": one.fit.params,
                "runs": {
                    str(run): float(loss)
                    for run, loss in zip(one.fit.table.run_ids, one.fit.table.loss, strict=True)
                },
            }
            for objective, one in losses.items()
            if one.fit.table is not None
        },
    }


def _run(run: RunSpec, losses: dict[str, Expected], metric: str, known: bool) -> dict[str, Any]:
    said: dict[str, Any] = dict.fromkeys(("expected", "low", "high", "quantiles", "source"))
    expected = losses.get(run.objective)
    if expected is not None:
        tokens = float(run.steps * run.config.tokens_per_step)
        inputs = [np.array([float(x)]) for x in (run.n_params, tokens, run.unique_tokens)]
        rows = Rows.of(*inputs)
        draws = expected.law.log_loss(expected.predictor.theta, rows)
        together = prediction_draws(draws[1:], expected.residuals, seed=0)[:, 0]
        quantiles = np.exp(np.quantile(together, QUANTILES))
        said |= {
            "expected": float(np.exp(draws[0, 0])),
            "low": float(quantiles[0]),
            "high": float(quantiles[-1]),
            "quantiles": dict(zip(map(str, QUANTILES), map(float, quantiles), strict=True)),
            "source": expected.source,
        }
    return {
        "run_id": run.run_id,
        "objective": run.objective,
        "n_params": run.n_params,
        "unique_tokens": run.unique_tokens,
        "total_tokens": run.total_tokens,
        "metric": metric,
        **said,
        "outside": _outside(run, expected),
        "after_the_fact": known,
    }


def _outside(run: RunSpec, expected: Expected | None) -> dict[str, float]:
    """By input, how many times it lies outside the fitted range: 3 is three times above, 1/3 three
    times below."""
    if expected is None:
        return {}
    values = {
        "n_params": run.n_params,
        "total_tokens": run.total_tokens,
        "unique_tokens": run.unique_tokens,
        "epochs": run.epochs,
    }
    found = {}
    for name, value in values.items():
        low, high = expected.fit.fitted_range.get(name, (value, value))
        if not low <= value <= high:
            found[name] = value / (high if value > high else low)
    return found


def _crossovers(
    plan: Plan,
    results: Path,
    losses: dict[str, Expected],
    metric: str,
    known: dict[str | None, bool],
) -> list[dict[str, Any]]:
    """Where each group's challengers overtake, in training tokens, by every source there is."""
    groups: dict[tuple[int, int], list[RunSpec]] = {}
    for run in plan.runs:
        groups.setdefault((run.n_params, run.unique_tokens), []).append(run)
    measured = {
        (row["n_params"], row["unique_tokens"]): row
        for row in bracket(plan, gather(results, metric))
    }
    found = []
    for (n_params, unique), runs in sorted(groups.items()):
        objectives = {run.objective for run in runs}
        if BASELINE not in objectives:
            continue
        planned = min(run.total_tokens for run in runs)
        for challenger in sorted(objectives - {BASELINE}):
            entry = {
                "n_params": n_params,
                "unique_tokens": unique,
                "total_tokens": planned,
                "objective": challenger,
                "metric": metric,
                "after_the_fact": any(known[run.run_id] for run in runs),
            }
            said = [_from_measured(measured.get((n_params, unique)), n_params)]
            said.append(_from_laws(losses, challenger, n_params, unique, planned))
            found += [entry | one for one in said if one is not None]
    return found


def _from_measured(row: dict[str, Any] | None, n_params: int) -> dict[str, Any] | None:
    if row is None:
        return None
    low, high = (None if end is None else end / (6 * n_params) for end in row["expected_range"])
    expected = row["expected_tokens"]
    return {"expected": expected, "low": low, "high": high, "source": row["source"]}


def _from_laws(
    losses: dict[str, Expected], challenger: str, n_params: int, unique: int, planned: int
) -> dict[str, Any] | None:
    """Where the two laws' losses cross for good within the planned tokens. An end of the interval
    that lies beyond is None."""
    if BASELINE not in losses or challenger not in losses:
        return None
    tokens = np.geomspace(max(planned / 1000, 1.0), planned, _STEPS)
    rows = Rows.of(np.full(_STEPS, float(n_params)), tokens, np.full(_STEPS, float(unique)))
    ours, theirs = (
        losses[name].law.log_loss(losses[name].predictor.theta, rows)
        for name in (BASELINE, challenger)
    )
    draws = min(len(ours), len(theirs))
    lead = ours[:draws] - theirs[:draws]
    places = np.array([crossing_place(np.log(tokens), one) for one in lead])
    middle = float(places[0])
    low, high = np.quantile(places[1:], [0.025, 0.975], method="inverted_cdf")
    return {
        "expected": float(np.exp(middle)) if np.isfinite(middle) else None,
        "low": float(np.exp(low)) if low < np.inf else float(planned),
        "high": float(np.exp(high)) if high < np.inf else None,
        "source": f"{losses[BASELINE].source}; {losses[challenger].source}",
    }
