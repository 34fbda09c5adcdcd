"""Studies as the store has them."""

from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.store.query import query


def study_head(results: Path, study: str) -> dict[str, Any]:
    """A study's name, question, source, recipe, and how its runs are compared (JSON text).

    Raises:
        InputError: there is no such study, or no store; the message lists the studies there are.
    """
    frame = query(
        results, "SELECT study, question, source, recipe, compare FROM studies ORDER BY study"
    )
    rows = {str(row["study"]): row for row in frame.to_dicts()}
    if study not in rows:
        raise InputError(
            f"no study {study}{suggestion(study, rows) or '.'} "
            f"Studies here: {', '.join(rows) or 'none'}."
        )
    return rows[study]
