"""Fit a scaling law to a table of losses, and report how far the fit can be trusted."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench import stages
from workbench.errors import InputError
from workbench.laws.fitting.check_table import check_table, outliers, poor_fit
from workbench.laws.fitting.clusters import clusters_of
from workbench.laws.fitting.held_out import HeldOut, held_out_error, held_out_rows
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.minimise import minimise
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.problem import Problem, huber
from workbench.laws.fitting.ratios import parameter_ratios
from workbench.laws.fitting.result import Fit, fitted_range, r_squared
from workbench.laws.fitting.search import SUBSAMPLE, Minimum, search
from workbench.laws.fitting.sharing import sharing_test
from workbench.laws.fitting.starts import make_problem
from workbench.laws.fitting.uncertainty import (
    EDGE,
    Influence,
    Profile,
    Spread,
    bootstrap,
    interval,
    leave_one_out,
    likelihood_threshold,
    profiles,
)
from workbench.laws.law import Floats, Law, Procedure
from workbench.recipe.objectives import BASELINE


def fit_law(law: Law | Procedure, table: LossTable, options: FitOptions) -> list[Fit]:
    """Fit a law: one result for each objective, or a single one with `joint` or without objectives.

    Raises:
        InputError: the options or the data cannot determine the law.
        WorkbenchError: no start reached a finite objective.
    """
    if isinstance(law, Procedure):
        if not law.takes_options:
            options.check_plain(law.name)
        return law.fit(table, options)
    options.check(law)
    if options.shared and (table.objective is None or len(table.objectives) < 2):
        raise InputError(
            f"{table.source}: --share {','.join(options.shared)}: there are no two objectives to "
            "share between. The column is called objective."
        )
    if options.joint or table.objective is None:
        return _fit_rows(law, replace(table, objective=None), options)
    if options.shared:
        return _fit_rows(law, table, options)
    fits: list[Fit] = []
    for objective in table.objectives:
        fits += _fit_rows(law, table.of(objective), options)
    return _with_ratios(fits)


def _with_ratios(fits: list[Fit]) -> list[Fit]:
    baseline = next((fit.estimates() for fit in fits if fit.objective_name == BASELINE), None)
    return [
        fit
        if baseline is None or fit.objective_name == BASELINE
        else replace(fit, ratios=parameter_ratios(fit.estimates(), baseline))
        for fit in fits
    ]


@dataclass(frozen=True)
class _Solution:
    """All results for a problem, before they are split into one `Fit` for each objective."""

    law: Law
    table: LossTable
    problem: Problem
    minima: list[Minimum]
    spread: Spread | None
    profiles: dict[str, Profile]
    influence: list[Influence] | None
    held_out: HeldOut | None
    sharing: dict[str, Any] | None
    fixed: tuple[str, ...]
    checks: tuple[str, ...]
    notes: tuple[str, ...]
    options: FitOptions


def _fit_rows(law: Law, table: LossTable, options: FitOptions) -> list[Fit]:
    who = "" if table.objective is None else f" of {' and '.join(map(str, table.objectives))}"
    stages.doing(f"fitting {law.name} to {len(table):,} losses{who}")
    notes = list(table.notes)
    given_options = options
    if options.two_stage:
        first = _first_stage(law, table, options)
        values = ", ".join(f"{name} = {value:.5g}" for name, value in first.items())
        notes.append(f"first stage, runs of at most one epoch: {values}; fixed in the second")
        options = replace(options, two_stage=False, fixed={**first, **options.fixed})
    problem = make_problem(law, table, options)
    needs = int(problem.free.sum())
    checks = check_table(table, needs=needs, law=law, shared=bool(options.shared))
    options.report_stage("search")
    minima = search(problem, options)
    theta = minima[0].theta
    checks += outliers(table, problem.residuals(theta[None])[0])
    known = _plausible(problem, minima)
    options.report_stage("resamples")
    clusters = clusters_of(table, options.cluster)
    spread = bootstrap(problem, known, options.resamples, options.seed, clusters)
    widths = np.zeros(len(theta))
    if spread is not None:
        widths = np.ptp(np.quantile(spread.theta, [0.025, 0.975], axis=0), axis=0)
    profiled = _profiles(problem, known, minima[0].objective, options)
    influence = _influences(problem, theta, widths, options)
    held_out = _held_out(law, table, given_options) if options.diagnostics else None
    solution = _Solution(
        law=law,
        table=table,
        problem=problem,
        minima=minima,
        spread=spread,
        profiles=profiled,
        influence=influence,
        held_out=held_out,
        sharing=sharing_test(law, table, options, held_out) if options.shared else None,
        fixed=tuple(
            name
            for name, place in zip(law.names, problem.index[0], strict=True)
            if not problem.free[place]
        ),
        checks=tuple(checks),
        notes=tuple(notes),
        options=options,
    )
    return [_result(solution, g) for g in range(len(problem.index))]


def _influences(
    problem: Problem, theta: Floats, widths: Floats, options: FitOptions
) -> list[Influence] | None:
    if not options.diagnostics:
        return None
    options.report_stage("influence")
    return leave_one_out(problem, theta, widths)


def _held_out(law: Law, table: LossTable, options: FitOptions) -> HeldOut | None:
    """The held-out errors, its first stage fitted without the held-out rows too."""
    options.report_stage("held-out error")
    if not options.two_stage:
        return held_out_error(law, table, options)
    split = held_out_rows(table, options.held_out_share)
    if split is None:
        return None
    try:
        first = _first_stage(law, table.take(~split), options)
    except InputError:  # too few single epochs are left without them
        return None
    return held_out_error(
        law, table, replace(options, two_stage=False, fixed={**first, **options.fixed})
    )


def _first_stage(law: Law, table: LossTable, options: FitOptions) -> dict[str, float]:
    """Fit the law without repetition to runs of at most one epoch.

    Muennighoff et al. fix these parameters while they fit the decay of repeats.
    """
    stage = table.take(np.flatnonzero(table.rows.repeats <= 1e-9))
    # So many repetitions before anything decays that every token and parameter counts in full.
    undecayed = {p.name: p.high for p in law.parameters if p.name not in law.first_stage}
    first = replace(options, two_stage=False, fixed={**undecayed, **options.fixed})
    problem = make_problem(law, stage, first)
    if len(stage) <= problem.free.sum():
        raise InputError(
            f"{table.source}: --two-stage: {len(stage)} runs of at most one epoch, and the first "
            f"stage has {problem.free.sum()} free parameters. Fit in one stage, or add such runs."
        )
    values = _values(law, problem, 0, search(problem, first)[0].theta)
    return {name: values[name] for name in law.first_stage}


def _plausible(problem: Problem, minima: list[Minimum]) -> Floats:
    """The best minimum, and up to two others that resampling could make the best."""
    best = minima[0].objective
    limit = likelihood_threshold(best, problem.n, int(problem.free.sum()), problem.delta)
    return np.stack([m.theta for m in minima[:3] if m is minima[0] or m.objective < limit])


def _profiles(
    problem: Problem, minima: Floats, objective: float, options: FitOptions
) -> dict[str, Profile]:
    if not options.diagnostics:
        return {}
    options.report_stage("profiles")
    if problem.n > 2 * SUBSAMPLE:  # a sample shows whether a parameter is bounded at all
        rng = np.random.default_rng(options.seed)
        problem = problem.take(np.sort(rng.choice(problem.n, SUBSAMPLE, replace=False)))
        sampled = minimise(problem, minima)
        order = np.argsort(sampled.objective)
        minima, objective = sampled.theta[order], float(sampled.objective[order[0]])
    return {profile.name: profile for profile in profiles(problem, minima, objective)}


def _values(law: Law, problem: Problem, g: int, theta: Floats) -> dict[str, float]:
    own = theta[problem.index[g]]
    return {p.name: float(p.to_value(own[j])) for j, p in enumerate(law.parameters)}


def _result(solution: _Solution, g: int) -> Fit:
    law, problem, minima = solution.law, solution.problem, solution.minima
    theta = minima[0].theta
    rows = np.flatnonzero(problem.group == g)
    own = solution.table.take(rows)
    residuals = problem.residuals(theta[None])[0][rows]
    predicted = own.loss * np.exp(residuals)
    r2 = r_squared(own.loss, predicted)
    draws, ci95 = _draws(solution, g)
    unseen = solution.held_out and solution.held_out.within(rows)
    free = _free_names(solution, g) if solution.profiles else []
    own_profiles = {name: _profile_of(solution, g, name) for name in free}
    return Fit(
        law=law.name,
        objective_name=None if own.objective is None else str(own.objective[0]),
        n=len(own),
        loss=float(huber(residuals, problem.delta).sum()),
        huber_delta=problem.delta,
        r2=r2,
        params=_values(law, problem, g, theta),
        ci95=ci95,
        identified={
            name: profile.identified and None not in (ci95[name] or ())
            for name, profile in own_profiles.items()
        },
        starts=sum(m.starts for m in minima),
        held_out=unseen.document() if unseen else None,
        unseen=unseen,
        sharing=solution.sharing,
        fixed=solution.fixed,
        shared=solution.options.shared,
        at_bound=_at_bound(solution, g),
        minima=tuple(
            {
                "loss": m.objective,
                "starts": m.starts,
                "params": _values(law, problem, g, m.theta),
            }
            for m in minima[:10]
        ),
        ci_method=solution.spread.method if solution.spread else None,
        influence=_influence(solution),
        checks=(
            *solution.checks,
            *poor_fit(r2, "Of the losses," if law.reads_runs else "Of the accuracies,"),
        ),
        notes=solution.notes,
        formula=law.formula,
        citation=law.citation,
        profiles=tuple(own_profiles.values()),
        table=own,
        predicted=predicted,
        draws=draws,
        fitted_range=fitted_range(own),
    )


def _free_names(solution: _Solution, g: int) -> list[str]:
    free = solution.problem.free[solution.problem.index[g]]
    return [name for name, is_free in zip(solution.law.names, free, strict=True) if is_free]


def _place(solution: _Solution, g: int, name: str) -> int:
    return int(solution.problem.index[g, solution.law.names.index(name)])


def _draws(
    solution: _Solution, g: int
) -> tuple[dict[str, Floats] | None, dict[str, tuple[float | None, float | None] | None]]:
    """Estimates of the resamples and their 95 % intervals, in the law's units."""
    ci95: dict[str, tuple[float | None, float | None] | None] = dict.fromkeys(solution.law.names)
    if solution.spread is None:
        return None, ci95
    draws = {}
    for name in _free_names(solution, g):
        place, parameter = _place(solution, g, name), solution.law.parameter(name)
        draws[name] = parameter.to_value(solution.spread.theta[:, place])
        low, high = (
            None if end is None else float(parameter.to_value(np.array(end)))
            for end in interval(solution.problem, place, solution.minima[0].theta, solution.spread)
        )
        ci95[name] = (low, high)
    return draws, ci95


def _profile_of(solution: _Solution, g: int, name: str) -> Profile:
    profile = solution.profiles[solution.problem.names[_place(solution, g, name)]]
    return replace(profile, name=name)


def _at_bound(solution: _Solution, g: int) -> tuple[str, ...]:
    problem, theta = solution.problem, solution.minima[0].theta
    names = []
    for name in _free_names(solution, g):
        place = _place(solution, g, name)
        low, high = problem.low[place], problem.high[place]
        if min(theta[place] - low, high - theta[place]) < EDGE * (high - low):
            names.append(name)
    return tuple(names)


def _influence(solution: _Solution) -> tuple[dict[str, Any], ...] | None:
    if solution.influence is None:
        return None
    return tuple(
        {
            "row": str(solution.table.name[effect.row]),
            "parameter": effect.parameter,
            "shift_in_ci_widths": effect.shift,
        }
        for effect in solution.influence
    )
