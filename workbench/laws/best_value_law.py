"""Laws of the best value: best = a N^b, or a N^b D^c, for each objective.

N are parameters and D tokens, those of them that differ. The best rate as a power law of both, and
the best batch size, are those of Li et al. 2025 (arXiv 2503.04715, Step Law); of compute, Bi et al.
2024 (arXiv 2401.02954, section 3.1).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from workbench.analysis.best_values import Finding
from workbench.analysis.curves import Floats
from workbench.analysis.intervals import RANDOM_SEED
from workbench.analysis.run_keys import identity, order_of
from workbench.errors import InputError
from workbench.laws.best_value_transfer import transfer_rows
from workbench.laws.predictors import outside_range
from workbench.messages import size_label, suggestion

SIZES = {"n_params": "n_params", "total_tokens": "training.total_tokens"}
"""What a law can be of: its name in answers, and in a run's keys."""


def best_value_laws(
    found: Sequence[Finding], predict: Iterable[Mapping[str, float]] = ()
) -> list[dict[str, Any]]:
    """How the best value moves with size and tokens, one answer for each objective and group of
    equal other keys that has several sizes.

    The law is fitted by least squares in logarithms, to the optima inside their grids alone: of
    one at an edge only a bound is known, which "points" have. Intervals are those of the law under
    resampled optima, widened where these scatter more around it than their own intervals explain;
    where optima have no intervals, they are t intervals from the scatter.

    Args:
        found: what `analysis.best_values` has found.
        predict: sizes to predict the best value for, by name: n_params and total_tokens.

    Returns:
        Rows with "status" fitted or refused, and then a "reason"; "against", "scale", "exponents"
        and their "ci95"; "points"; "predictions" for each size asked, "outside" saying how far
        beyond the fitted sizes one lies; and "transfer": see `best_value_transfer`.

    Raises:
        InputError: no group has several sizes, or an unknown or missing size to predict for.
    """
    asked = [_checked(sizes) for sizes in predict]
    families = [one for one in _families(found) if len({_size(m) for m in one[1]}) > 1]
    if not families:
        raise InputError(
            f"a law of the best {found[0].row['key']} needs runs of several n_params or "
            "total_tokens, equal in all other keys: here are none with a best value."
        )
    rows = []
    for group, members in families:
        members = sorted(members, key=_size)
        first = members[0].row
        rows.append(
            {
                **{name: first[name] for name in ("study", "metric", "at", "key", "objective")},
                "group": group,
                **_law(members, asked),
                "points": [_point(member) for member in members],
                "transfer": transfer_rows(members),
            }
        )
    return sorted(rows, key=_place)


def _checked(sizes: Mapping[str, float]) -> dict[str, float]:
    for name, value in sizes.items():
        if name not in SIZES:
            raise InputError(
                f"--predict {name}{suggestion(name, SIZES) or '.'} Sizes: {', '.join(SIZES)}."
            )
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"--predict {name}={value}: expected a number above 0.")
    return dict(sizes)


def _size(member: Finding) -> tuple[float, ...]:
    return tuple(float(member.keys.get(key) or np.nan) for key in SIZES.values())


def _families(found: Sequence[Finding]) -> list[tuple[dict[str, Any], list[Finding]]]:
    """Answers that agree in all but their sizes, and in what follows from these."""
    placed = [one for one in found if one.optimum is not None]
    names = {name for one in placed for name in one.row["group"]}
    sizes = [_size(one) for one in placed]

    def follows(name: str) -> bool:
        own = [str(one.row["group"].get(name)) for one in placed]
        return len(set(own)) > 1 and len(set(zip(sizes, own, strict=True))) == len(set(sizes))

    kept = sorted(name for name in names - set(SIZES.values()) if not follows(name))
    families: dict[str, tuple[dict[str, Any], list[Finding]]] = {}
    for one in placed:
        group = {name: one.row["group"].get(name) for name in kept}
        key = identity(group | {"": one.row["objective"]})
        families.setdefault(key, (group, []))[1].append(one)
    return list(families.values())


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    group = {"n_params": 0, "unique_tokens": 0} | row["group"]
    return str(row["objective"]), *order_of(group)


def _point(member: Finding) -> dict[str, Any]:
    names = ("best", "optimum", "ci95", "bound", "lower_bound", "upper_bound", "ties", "seeds")
    return {**dict(zip(SIZES, _size(member), strict=True)), **{n: member.row[n] for n in names}}


@dataclass(frozen=True)
class _Line:
    """log best = beta (1, log sizes), with draws of beta or its covariance."""

    against: list[str]
    beta: Floats
    scatter: float
    """Root mean square of what is left in log best, over the degrees of freedom."""
    deviations: Floats | None
    """(resamples, coefficients) around beta."""
    covariance: Floats
    """Of beta, from the scatter."""
    dof: int

    def at(self, x: Floats) -> tuple[float, list[float]]:
        """A combination of the coefficients, and its 95 % interval."""
        value = float(x @ self.beta)
        if self.deviations is not None:
            low, high = np.quantile(self.deviations @ x, [0.025, 0.975])
            return value, [value + float(low), value + float(high)]
        half = float(stats.t.ppf(0.975, self.dof) * np.sqrt(x @ self.covariance @ x))
        return value, [value - half, value + half]


def _law(members: list[Finding], asked: list[dict[str, float]]) -> dict[str, Any]:
    inside = [member for member in members if member.row["optimum"] is not None]
    every, sizes = (np.array([_size(m) for m in some]).reshape(-1, 2) for some in (members, inside))
    against = [name for at, name in enumerate(SIZES) if len(set(every[:, at])) > 1]
    columns = [list(SIZES).index(name) for name in against]
    head = {
        "against": against,
        "n_optima": len(inside),
        "n_bounds": len(members) - len(inside),
    }
    design = np.column_stack([np.ones(len(inside)), np.log(sizes[:, columns])])
    reason = _refused(members, design, against)
    if reason:
        nothing = dict.fromkeys(("formula", "scale", "exponents", "ci95", "ci95_method", "scatter"))
        return {**head, "status": "refused", "reason": reason, **nothing, "predictions": []}
    line = _fitted(inside, design, against)
    names = ["scale", *against]
    ends = {name: line.at(row) for name, row in zip(names, np.eye(len(names)), strict=True)}
    scale, scale_ci = (np.exp(one) for one in ends["scale"])
    return {
        **head,
        "status": "fitted",
        "reason": None,
        "formula": _formula(members[0].row["key"], float(scale), line),
        "scale": float(scale),
        "exponents": {name: ends[name][0] for name in against},
        "ci95": {"scale": scale_ci.tolist(), **{name: ends[name][1] for name in against}},
        "ci95_method": _method(line),
        "scatter": line.scatter,
        "predictions": [_predicted(line, sizes, one) for one in asked],
    }


def _refused(members: list[Finding], design: Floats, against: list[str]) -> str | None:
    """Why there is no law; None where there is one."""
    n, needed = len(design), len(against) + 2
    words = " and ".join(against)
    at_edge = [member.row for member in members if member.row["optimum"] is None]
    if n < needed:
        more = "; ".join(
            f"at n_params = {size_label(row['group']['n_params'])} the best is the "
            f"{'greatest' if row['bound'] == 'lower' else 'least'} value tried"
            for row in at_edge
        )
        return f"a power law in {words} needs {needed} optima inside their grids, here are {n}" + (
            f": {more}. Extend those grids." if more else ". Train more sizes."
        )
    centred = design[:, 1:] - design[:, 1:].mean(axis=0)
    if np.linalg.matrix_rank(centred) < len(against):
        return f"{words} of the optima change together: their exponents cannot be separated."
    return None


def _fitted(inside: list[Finding], design: Floats, against: list[str]) -> _Line:
    y = np.array([np.log(member.row["optimum"]) for member in inside])
    inverse = np.linalg.pinv(design)
    beta = inverse @ y
    rest = y - design @ beta
    dof = len(y) - len(beta)
    scatter = float(np.sqrt((rest**2).sum() / dof))
    deviations = None
    draws = _draws(inside)
    if draws is not None:
        spread = np.diff(np.quantile(draws, [0.1587, 0.8413], axis=0), axis=0)[0] / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            excess = np.nansum((rest / spread) ** 2) / dof
        # Where optima lie further from the law than their own intervals explain, the law or the
        # intervals are at fault: the interval is widened by as much (Birge 1932).
        widened = np.sqrt(max(1.0, float(excess))) if np.isfinite(excess) else 1.0
        deviations = widened * (draws - y) @ inverse.T
    return _Line(against, beta, scatter, deviations, scatter**2 * inverse @ inverse.T, dof)


def _draws(inside: list[Finding]) -> Floats | None:
    """(resamples, optima) in the logarithm of the key, those beyond an edge at the edge; None
    where some have none."""
    rng = np.random.default_rng(RANDOM_SEED)
    columns = []
    for member in inside:
        optimum = member.optimum
        assert optimum is not None
        if optimum.draws is None:
            return None
        own = np.clip(optimum.draws, optimum.places[0], optimum.places[-1])
        columns.append(rng.permutation(own))  # every group was resampled with the same numbers
    return np.column_stack(columns)


def _method(line: _Line) -> str:
    if line.deviations is not None:
        return f"{len(line.deviations):,} resamples of the optima; a wrong law is not in it"
    return f"t interval from the scatter around the law, {line.dof} degrees of freedom"


def _formula(key: str, scale: float, line: _Line) -> str:
    powers = " ".join(
        f"{name}^{exponent:.3g}" if exponent >= 0 else f"{name}^({exponent:.3g})"
        for name, exponent in zip(line.against, line.beta[1:], strict=True)
    )
    return f"best {key.rpartition('.')[2]} = {scale:.4g} {powers}"


def _predicted(line: _Line, sizes: Floats, asked: dict[str, float]) -> dict[str, Any]:
    lacking = [name for name in line.against if name not in asked]
    if lacking:
        raise InputError(
            f"--predict {','.join(f'{n}={v:g}' for n, v in asked.items())}: the law is in "
            f"{' and '.join(line.against)}: give {', '.join(f'{name}=...' for name in lacking)} "
            "too."
        )
    value, ends = line.at(np.array([1.0, *(np.log(asked[name]) for name in line.against)]))
    ranges = {
        name: (float(sizes[:, at].min()), float(sizes[:, at].max()))
        for at, name in enumerate(SIZES)
    }
    outside = {name: outside_range(asked[name], ranges[name]) for name in asked}
    return {
        **asked,
        "best": float(np.exp(value)),
        "ci95": [float(np.exp(end)) for end in ends],
        "outside": {name: how for name, how in outside.items() if how},
    }
