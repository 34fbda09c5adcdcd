"""The closed sets and the kinds of values that several calls take."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from workbench.conditions import Condition, parse_conditions

At = Literal["last", "best"]
Over = Literal["seeds+documents", "seeds", "documents"]
Axis = Literal["tokens", "epochs", "flops", "flops_per_unique"]
Definition = Literal["band", "point", "best_so_far"]
Side = str | Mapping[str, Any]
"""An objective, conditions such as "model.dropout=0.1", or dotted keys and their values."""
Where = str | Sequence[str]
"""`COLUMN OP VALUE`, joined by `and`, such as "n_params < 1e6 and seed in (0, 1)"."""


def conditions(given: str | Iterable[str] | None, option: str = "--where") -> tuple[Condition, ...]:
    """Conditions of one text or of several, all of which must hold.

    Raises:
        InputError: a piece is no condition.
    """
    return parse_conditions([given] if isinstance(given, str) else given, option)
