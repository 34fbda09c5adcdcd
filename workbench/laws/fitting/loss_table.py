"""Tables of losses to fit: one row a run, from a file or from a study."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.conditions import Conditions, matching
from workbench.laws.law import Floats, Rows


@dataclass(frozen=True)
class LossTable:
    """Runs with their losses. Arrays have one element a row.

    `compute` is training FLOPs: the table's own, or 6 N D. `objective` is None where the table
    has no column of objectives, `unique_tokens` where it has no such column.
    """

    source: str
    name: NDArray[np.str_]
    n_params: Floats
    total_tokens: Floats
    unique_tokens: Floats | None
    loss: Floats
    compute: Floats
    objective: NDArray[np.str_] | None = None
    estimators: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = field(default=())
    columns: dict[str, NDArray[np.object_]] = field(default_factory=dict, repr=False)
    """What else is known of the rows, by name: the file's columns, or the store's columns of
    their runs and the keys in which these differ. None where a row has nothing there."""
    metric: str | None = None
    """What a study's values are of; None for a file."""
    at: str | None = None
    """Which of a run's values they are: last, best or curve; None for a file."""
    conditions: tuple[str, ...] = ()
    """What chose the rows."""

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def rows(self) -> Rows:
        unique = self.total_tokens if self.unique_tokens is None else self.unique_tokens
        return Rows.of(self.n_params, self.total_tokens, unique)

    @property
    def objectives(self) -> list[str | None]:
        """Objectives in the table, sorted; [None] where it has no such column."""
        return [None] if self.objective is None else sorted(set(self.objective.tolist()))

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "LossTable":
        def part(values):  # type: ignore[no-untyped-def]
            return None if values is None else values[rows]

        ids = tuple(np.array(self.run_ids)[rows].tolist()) if self.run_ids else ()
        return replace(
            self,
            name=self.name[rows],
            n_params=self.n_params[rows],
            total_tokens=self.total_tokens[rows],
            unique_tokens=part(self.unique_tokens),
            loss=self.loss[rows],
            compute=self.compute[rows],
            objective=part(self.objective),
            run_ids=ids,
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def where(self, conditions: Conditions, absent: Mapping[str, Any] | None = None) -> "LossTable":
        """The rows that meet the conditions, with a note on them.

        Args:
            absent: by column, the value that none stands for.

        Raises:
            InputError: there is no such column, or no row meets the conditions.
        """
        if not conditions:
            return self
        rows = [
            dict(zip(self.columns, values, strict=True))
            for values in zip(*self.columns.values(), strict=True)
        ]
        found = np.array(matching(rows, conditions, self.source, absent=absent))
        note = f"only rows with {' and '.join(map(str, conditions))}"
        chosen = (*self.conditions, *map(str, conditions))
        return replace(self.take(found), notes=(*self.notes, note), conditions=chosen)

    def described(self) -> dict[str, Any]:
        """What the rows are, as answers and the store record it."""
        return {
            "source": self.source,
            "metric": self.metric,
            "at": self.at,
            "where": list(self.conditions),
            "estimators": list(self.estimators),
            "runs": list(dict.fromkeys(self.run_ids)),
        }

    def of(self, objective: str | None) -> "LossTable":
        """The rows of one objective."""
        if objective is None or self.objective is None:
            return self
        return self.take(self.objective == objective)
