"""Problems and their starts: where each parameter is in theta, and where to begin."""

import numpy as np
from scipy.stats import qmc

from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.problem import Problem
from workbench.laws.law import Floats, Law


def make_problem(law: Law, table: LossTable, options: FitOptions) -> Problem:
    """The problem of fitting a law to a table's rows, its objectives as groups if any parameter
    is shared between them."""
    groups = table.objectives if options.shared else [None]
    group = np.zeros(len(table), dtype=np.intp)
    if options.shared and table.objective is not None:
        group = np.searchsorted(np.array(groups, dtype=str), table.objective).astype(np.intp)
    sets = options.tied_sets(law)
    shared = {name for name in law.names if sets[name] & set(options.shared)}
    places: dict[tuple[str, int | None], int] = {}
    index = np.empty((len(groups), len(law.parameters)), dtype=np.intp)
    names, low, high = [], [], []
    for g in range(len(groups)):
        for j, own in enumerate(law.names):
            name = next(n for n in law.names if n in sets[own])
            key = (name, None if len(groups) == 1 or name in shared else g)
            if key not in places:
                places[key] = len(places)
                parameter = law.parameter(name)
                names.append(name if key[1] is None else f"{name}[{groups[g]}]")
                value = next((v for k, v in options.fixed.items() if k in sets[name]), None)
                low.append(parameter.to_internal(parameter.low if value is None else value))
                high.append(parameter.to_internal(parameter.high if value is None else value))
            index[g, j] = places[key]
    return Problem(
        law=law,
        rows=table.rows,
        log_y=np.log(table.loss),
        group=group,
        index=index,
        names=tuple(names),
        low=np.array(low),
        high=np.array(high),
        delta=options.huber_delta,
    )


def draw_starts(problem: Problem, count: int, seed: int) -> Floats:
    """Starts (S, q), spread evenly over the ranges of the law's parameters.

    Scales follow from the data: E is a share of the lowest loss, and the power-law terms share
    the rest of the median loss at the median run, so that every start predicts losses of the
    right size. The published values are an additional start.
    """
    law = problem.law
    p = len(law.parameters)
    unit = qmc.Sobol(p, seed=np.random.default_rng(seed)).random(1 << (count - 1).bit_length())
    unit = unit[:count]
    values = np.empty((count, p))
    loss = np.exp(problem.log_y)
    for j, parameter in enumerate(law.parameters):
        a, b = parameter.start
        if parameter.log and parameter.name != "E":
            values[:, j] = np.log(a) + unit[:, j] * np.log(b / a)
        else:
            values[:, j] = a + unit[:, j] * (b - a)
    floor = np.zeros(count)
    if "E" in law.names:
        place = law.names.index("E")
        floor = values[:, place] * loss.min()
        values[:, place] = np.log(floor)
    gap = np.maximum(np.median(loss) - floor, 1e-3)
    middle = {"n": np.median(problem.rows.log_n), "d": np.median(problem.rows.log_d)}
    terms = [(law.names.index(s), law.names.index(e), v) for s, e, v in law.scale_terms]
    shares = np.stack([unit[:, s] + 0.05 for s, _, _ in terms], axis=1) if terms else None
    for k, (s, e, variable) in enumerate(terms):
        assert shares is not None
        part = shares[:, k] / shares.sum(axis=1)
        values[:, s] = np.log(part * gap) + values[:, e] * middle[variable]
    if law.published:
        values = np.vstack([law.internal(law.published), values])
    theta = np.empty((len(values), len(problem.low)))
    for own in problem.index:
        theta[:, own] = values
    return np.clip(theta, problem.low, problem.high)
