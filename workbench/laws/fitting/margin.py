"""By how much one fit's held-out error is larger than another's on the same rows, and how surely.

Errors on the same rows are compared row by row: what makes a run hard to predict is then no part of
the difference. Rows that share their noise count together.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from workbench.laws.fitting.clusters import Clusters
from workbench.laws.law import Floats


@dataclass(frozen=True)
class Margin:
    """A difference of two root mean square errors of log loss: one's less the other's."""

    value: float
    stderr: float | None
    """None where the rows are of one cluster, so that nothing tells how another would differ."""
    interval: tuple[float, float] | None
    clusters: int

    @property
    def is_tie(self) -> bool:
        """Whether it could as well be none: its 95 % interval holds 0, or is unknown."""
        return self.interval is None or self.interval[0] <= 0 <= self.interval[1]

    @property
    def within_one_error(self) -> bool:
        """Whether it is at most its standard error."""
        return self.stderr is None or self.value <= self.stderr

    def document(self) -> dict[str, Any]:
        return {
            "margin_log": self.value,
            "margin_stderr_log": self.stderr,
            "margin_ci95_log": None if self.interval is None else list(self.interval),
            "margin_clusters": self.clusters,
        }


def margin(error: Floats, other: Floats, clusters: Clusters | None) -> Margin:
    """The margin of errors (n,) over others on the same rows.

    The mean difference of squares has a standard error from the sums over clusters, t with one
    degree of freedom fewer; divided by the sum of the two roots it is the roots' difference.

    Args:
        clusters: of these rows; None where each row is by itself.
    """
    gain = error**2 - other**2
    n = len(gain)
    roots = float(np.sqrt(np.mean(error**2)) + np.sqrt(np.mean(other**2)))
    if roots == 0:
        return Margin(0.0, 0.0, (0.0, 0.0), n)
    label = np.arange(n) if clusters is None else clusters.label
    place = np.unique(label, return_inverse=True)[1]
    count = int(place.max()) + 1
    mean = float(gain.mean())
    value = mean / roots
    if count < 2:
        return Margin(value, None, None, count)
    sums = np.bincount(place, weights=gain - mean, minlength=count)
    stderr = float(np.sqrt(count / (count - 1) * (sums**2).sum())) / n / roots
    half = float(stats.t.ppf(0.975, count - 1)) * stderr
    return Margin(value, stderr, (value - half, value + half), count)
