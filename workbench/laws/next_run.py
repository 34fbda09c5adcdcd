"""Which run would shrink the uncertainty of a crossover most for its FLOPs.

Two kinds of runs help. Another seed of a pair narrows the interval of a crossover that was seen:
the part of its square that comes from seeds shrinks as 1 / n, that of the held-out documents does
not. A longer pair reaches a crossover that was not, or of which the last point does not tell: until
then it is known from below only, and how far beyond it may lie follows from what is known of the
critical compute at these unique tokens (`laws.evidence`). Where a single pair was run, the scatter
between seeds is taken from the groups that have several, else from the pair's own bootstrap, which
is smaller since it lacks what differs between seeds.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from workbench.analysis.crossover import crossovers
from workbench.analysis.run_keys import identity
from workbench.errors import InputError
from workbench.laws.critical_source import Known, Question
from workbench.laws.evidence import gather
from workbench.store import query

UNSEEN = np.log(10.0)
"""How far beyond the last place compared an unseen crossover may lie, where no source expects it
beyond, and how far a pair goes on at once: a decade."""


def next_runs(
    results: Path, study: str, metric: str = "val_loss", axis: str = "tokens"
) -> list[dict[str, Any]]:
    """Candidates for the next run, the one that shrinks an interval most per FLOP first.

    Returns:
        Rows with "group", "kind" (another seed, longer), "set" (overrides for `workbench run`),
        "train_flops" of both runs, "width_now" and "width_expected" (full 95 % width in natural
        log of the place), "shrink_per_flop", "why", and what is known of the critical compute there
        as "evidence".

    Raises:
        InputError: no such study or metric, no pairs, or runs whose cost is not known.
    """
    rows = crossovers(results, study, metric, axis)
    runs = _runs(results, study)
    by_seeds = crossovers(results, study, metric, axis, over="seeds")
    scatter, scatter_source = _scatter_between_seeds(by_seeds)
    evidence = gather(results, metric)
    single = {identity(row["group"]): row for row in _single_seeds(results, rows)}
    candidates = []
    for row, seeds_row in zip(rows, by_seeds, strict=True):
        pair = [runs[run_id] for side in row["runs"].values() for run_id in side]
        if any(run["imported"] for run in pair):
            continue
        candidate = None
        unique, n_params = row["group"]["unique_tokens"], row["group"]["n_params"]
        reached = row["last_x"] * _flops_of(axis, unique, n_params)
        epochs = reached / (6.0 * n_params * unique)
        known = evidence.about(Question(unique, reached, n_params, epochs))
        if row["status"] == "crossed":
            own = single.get(identity(row["group"]), row)
            width, of_seeds = _width(own), _width(seeds_row)
            candidate = _another_seed(row, pair, width, of_seeds, (scatter, scatter_source))
        elif row["status"] in ("not_reached", "undecided"):
            candidate = _longer(row, pair, known, reached)
        if candidate is not None:
            head = {"study": study, "metric": metric, "axis": axis}
            candidates.append({**head, **candidate, "evidence": known.document()})
    if not candidates:
        raise InputError(
            f"study {study}: no run would sharpen its crossovers: all of them are imported, or "
            "the challenger is ahead from the first point compared (evaluate earlier: "
            "evaluation.points), or too few points tell how they scatter."
        )
    return sorted(candidates, key=lambda row: -row["shrink_per_flop"])


def _runs(results: Path, study: str) -> dict[str, dict[str, Any]]:
    frame = query(
        results,
        f"""SELECT r.run_id, r.seed, r.data_seed, r.train_flops, r.total_tokens, r.unique_tokens,
                   r.n_params, coalesce(r.imported, false) AS imported
            FROM runs r JOIN study_runs s USING (run_id)
            WHERE s.study = '{study.replace("'", "''")}'""",
    )
    return {row["run_id"]: row for row in frame.iter_rows(named=True)}


def _scatter_between_seeds(rows: list[dict[str, Any]]) -> tuple[float | None, str]:
    """The standard deviation of log place between seeds, pooled over groups with several seeds,
    and a text on where it comes from.

    Args:
        rows: whose intervals run over seeds alone.
    """
    squares, freedom = 0.0, 0
    for row in rows:
        n, width = row["seeds"], _width(row)
        if n >= 2 and width is not None:
            squares += (n - 1) * (width / 2 * np.sqrt(n) / stats.t.ppf(0.975, n - 1)) ** 2
            freedom += n - 1
    if freedom:
        return float(np.sqrt(squares / freedom)), f"scatter between seeds, {freedom} degrees"
    return None, "bootstrap of the one pair: seeds may scatter more"


def _flops_of(axis: str, unique: float, n_params: float) -> float:
    """What one unit of an axis is in FLOPs, as 6 N D."""
    token = 6.0 * n_params
    return {"tokens": token, "epochs": token * unique, "flops": 1.0, "flops_per_unique": unique}[
        axis
    ]


def _single_seeds(results: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one seed, point by point: their bands have no interval, a bootstrap has."""
    if not any(row["definition"] == "band" and row["seeds"] == 1 for row in rows):
        return []
    first = rows[0]
    by_point = crossovers(
        results, first["study"], first["metric"], first["axis"], definition="point"
    )
    return [row for row in by_point if row["seeds"] == 1]


def _width(row: dict[str, Any]) -> float | None:
    """The full width of a row's interval in natural log of the place."""
    if not row["ci95"] or None in row["ci95"]:
        return None
    return float(np.log(row["ci95"][1] / row["ci95"][0]))


def _another_seed(
    row: dict[str, Any],
    pair: list[dict[str, Any]],
    width: float | None,
    of_seeds: float | None,
    scatter_between_seeds: tuple[float | None, str],
) -> dict[str, Any] | None:
    """The candidate, or None where no scatter is known.

    Args:
        width, of_seeds: of the interval, and of what of it comes from seeds.
    """
    n = row["seeds"]
    scatter, scatter_source = scatter_between_seeds
    if scatter is None and width is not None and width > 0:
        scatter = width / (2 * stats.norm.ppf(0.975))
    if not scatter:
        return None
    now = width or float(2 * stats.norm.ppf(0.975) * scatter / np.sqrt(n))
    # Known scatter: the seeds' part shrinks as 1 / sqrt(n), whatever few seeds have shown so far.
    part = min(of_seeds or now, now)
    expected = np.sqrt(now**2 - part**2 / (n + 1))
    flops = _flops(pair) / n
    return {
        "group": row["group"],
        "kind": "another seed",
        "set": [_seed_setting(pair)],
        "train_flops": flops,
        "width_now": now,
        "width_expected": float(expected),
        "shrink_per_flop": float((now - expected) / flops),
        "why": f"{n} seed{'s' if n > 1 else ''} so far; {scatter_source}",
    }


def _seed_setting(pair: list[dict[str, Any]]) -> str:
    """The next seed: of text and training together, where they have gone together so far."""
    key = "seed" if all(run["data_seed"] == run["seed"] for run in pair) else "training.seed"
    return f"{key}={max((run['seed'] for run in pair if run['seed'] is not None), default=0) + 1}"


def _longer(
    row: dict[str, Any], pair: list[dict[str, Any]], known: Known, reached: float
) -> dict[str, Any]:
    """The candidate of a pair that goes on to where its crossover is expected, by a decade at most.

    Args:
        reached: the compute (FLOPs) up to which the pair was compared.
    """
    high, source = known.used.range[1], known.used.kind
    now, why = UNSEEN, "beyond the last place compared, by up to a decade"
    if high is not None and high > reached:
        now, why = float(np.log(high / reached)), f"expected by {high:.3g} FLOPs, from {source}"
    onward = min(now, UNSEEN)
    factor = float(np.exp(onward))
    tokens = max(run["total_tokens"] or 0 for run in pair) * factor
    flops = _flops(pair) * factor
    # Once seen, a crossover is about as sure as those that were: a tenth is typical.
    expected = now - onward + min(onward / 2, 0.1)
    return {
        "group": row["group"],
        "kind": "longer",
        "set": [f"training.total_tokens={round(tokens)}"],
        "train_flops": flops,
        "width_now": now,
        "width_expected": expected,
        "shrink_per_flop": (now - expected) / flops,
        "why": f"{row['status'].replace('_', ' ')} by {row['last_x']:.4g} {row['axis']}; {why}",
    }


def _flops(pair: list[dict[str, Any]]) -> float:
    """Training FLOPs of the runs; 6 N D for a run whose FLOPs are not known."""
    return float(
        sum(run["train_flops"] or 6 * run["n_params"] * run["total_tokens"] for run in pair)
    )


def next_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `next_runs` as table cells."""
    return {
        **row["group"],
        "run": row["kind"],
        "--set": " ".join(row["set"]),
        "FLOPs": f"{row['train_flops']:.3g}",
        "width now": f"x{np.exp(row['width_now']):.3g}",
        "width expected": f"x{np.exp(row['width_expected']):.3g}",
        "why": row["why"],
    }
