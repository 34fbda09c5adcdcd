"""Rows that share their noise, and resamples that take or leave them together.

Points of one run, runs that share a trunk, runs of one size or runs on one text are off in the same
direction. Intervals from rows drawn one by one are then too narrow: a cluster says once what its
rows seem to say often. Of nested clusters the coarser covers the finer: the runs of a trunk are of
one size and on one text.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workbench.errors import InputError
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.law import Floats
from workbench.messages import suggestion

NONE = "none"
_ALIASES = {"size": ("n_params",), "text": ("corpus", "data_seed", "unique_tokens")}
"""Names for columns of a study's runs: what has one size, and what was trained on one text."""


@dataclass(frozen=True)
class Clusters:
    """Which cluster each row is in, counted from 0 (n,), and the columns that say so."""

    label: NDArray[np.intp]
    by: str

    def __str__(self) -> str:
        return f"{self.count:,} clusters ({self.by})"

    @property
    def count(self) -> int:
        return int(self.label.max()) + 1


def clusters_of(table: LossTable, column: str | None) -> Clusters | None:
    """The clusters of a table's rows; None where each row is by itself.

    Args:
        column: a column, several joined by commas, size, text, or none for rows by themselves.
            None: the points of a run, or the runs that share a trunk, where there are several.

    Raises:
        InputError: there is no such column, or all rows are in one cluster.
    """
    if column == NONE:
        return None
    if column is None:
        return _runs(table)
    values = [_values(table, name) for name in _named(table, column)]
    clusters = _clusters(list(zip(*values, strict=True)), column)
    if clusters.count < 2:
        raise InputError(
            f"--cluster {column}: all rows of {table.source} are in one cluster, and nothing says "
            "how another would have come out. Cluster by another column, or leave it out."
        )
    return clusters if clusters.count < len(table) else None


def resample_counts(
    rng: np.random.Generator, resamples: int, group: NDArray[np.intp], clusters: Clusters | None
) -> Floats:
    """How often each row counts in each resample (B, n).

    Clusters are drawn with replacement: within each group, or where a cluster has rows in several
    groups among all.

    Args:
        group: (n,), the group of each row, such as its objective.
    """
    n = len(group)
    label = np.arange(n) if clusters is None else clusters.label
    pairs = np.unique(np.column_stack([label, group]), axis=0)
    if len(pairs) > len(np.unique(label)):
        group = np.zeros(n, dtype=np.intp)
    counts = np.zeros((resamples, n))
    for g in np.unique(group):
        rows = np.flatnonzero(group == g)
        own, place = np.unique(label[rows], return_inverse=True)
        drawn = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples)
        counts[:, rows] = drawn[:, place]
    return counts


def interval_ends(draws: Floats, estimate: float, clusters: Clusters | None) -> tuple[float, float]:
    """The 95 % interval of resampled estimates (B,): its percentiles, and of clusters t's.

    Of few clusters percentiles hold the truth too rarely, or are far too wide where a resample
    lacks too many. The estimate's standard error, half of what lies between the percentiles of one
    normal standard deviation and freed of its bias, times t's quantile holds it as it should:
    benchmarks/clustered_intervals.py measures it.
    """
    if clusters is None:
        low, high = np.quantile(draws, [0.025, 0.975])
        return float(low), float(high)
    low, high = np.quantile(draws, stats.norm.cdf([-1.0, 1.0]))
    error = (high - low) / 2 * np.sqrt(clusters.count / (clusters.count - 1))
    half = float(stats.t.ppf(0.975, clusters.count - 1) * error)
    return estimate - half, estimate + half


def resampled(clusters: Clusters | None, resamples: int) -> str:
    """What was drawn, how often, and how the interval follows, for people."""
    how = f", t with {clusters.count - 1:,} degrees of freedom" if clusters else ""
    return f"bootstrap over {clusters or 'rows'}, {resamples:,} resamples{how}"


def _named(table: LossTable, column: str) -> list[str]:
    names: list[str] = []
    for name in (part.strip() for part in column.split(",")):
        own_file = not table.run_ids and name in table.columns
        names += [name] if own_file else _ALIASES.get(name, (name,))
    return names


def _values(table: LossTable, name: str) -> list[str]:
    if name in table.columns:
        return list(map(str, table.columns[name]))
    own = {"n_params": table.n_params, "total_tokens": table.total_tokens, "name": table.name,
           "unique_tokens": table.unique_tokens, "objective": table.objective}  # fmt: skip
    values = own.get(name)
    if values is None:
        known = [*table.columns, *(k for k, v in own.items() if v is not None), *_ALIASES]
        raise InputError(
            f"--cluster {name}: {table.source} has no such column{suggestion(name, known) or '.'} "
            "Allowed: size, text, none, a column of the table or of the store's runs, a study's "
            "trunk, study or estimator, or a key in which its runs differ."
        )
    return list(map(str, values))


def _runs(table: LossTable) -> Clusters | None:
    """Several points of one run: rows of one name and size, but of different tokens. Of a study,
    also runs that share a trunk, whose first points are the same numbers."""
    names = table.run_ids or [
        f"{name} {n}" for name, n in zip(table.name, table.n_params, strict=True)
    ]
    clusters = _clusters(list(names), "run")
    if table.run_ids and "trunk" in table.columns:
        trunks = _clusters(list(table.columns["trunk"]), "trunk")
        if 1 < trunks.count < clusters.count:
            return trunks
    if clusters.count == len(table):
        return None
    points = np.unique(np.column_stack([clusters.label, table.total_tokens]), axis=0)
    return clusters if len(points) == len(table) and clusters.count > 1 else None


def _clusters(keys: list[object], by: str) -> Clusters:
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return Clusters(np.array([places[key] for key in keys], dtype=np.intp), by)
