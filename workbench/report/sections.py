"""What a report is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workbench.analysis.table_rows import without_empty_intervals
from workbench.errors import InputError
from workbench.figures import Figure
from workbench.store.query import literal


@dataclass(frozen=True)
class Section:
    """A heading with text, a figure, a table, and the SQL statements behind its numbers.

    `workbench sql` runs the statements as they are.
    """

    title: str
    text: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    figure: Figure | None = None
    sql: tuple[str, ...] = ()
    level: int = 2
    python: str = ""
    """What draws the figure again."""

    @property
    def table(self) -> tuple[dict[str, Any], ...]:
        """The rows as they are shown."""
        return without_empty_intervals(self.rows)


@dataclass(frozen=True)
class Report:
    """A study's report, or one of chosen figures: head matter and sections in order."""

    study: str
    question: str
    source: str
    verdicts: tuple[str, ...] | None
    """What was found, a line a metric; None where the report is of no single study."""
    sections: tuple[Section, ...] = ()
    missing: tuple[str, ...] = field(default=())


def attempt(make: Callable[[], Section | None], missing: list[str]) -> Section | None:
    """A section, or a line on why the study has none."""
    try:
        return make()
    except InputError as error:
        missing.append(str(error))
        return None


def sentence(text: str) -> str:
    """Text with a capital at its start and a full stop at its end."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def points_sql(study: str, *metrics: str) -> str:
    """SQL for every point of the metrics, as figures and answers use them."""
    names = ", ".join(literal(metric) for metric in metrics)
    return f"""SELECT run_id, objective, unique_tokens, n_params, seed, metric, tokens, epoch,
       flops, value, stderr, estimator
FROM curves JOIN study_runs USING (run_id)
WHERE study = {literal(study)} AND metric IN ({names}) AND value IS NOT NULL
ORDER BY metric, run_id, tokens"""


def best_sql(study: str, metric: str) -> str:
    """SQL for the best value of each run, and where it was reached."""
    return f"""SELECT run_id, objective, unique_tokens, n_params, seed, value, tokens, epoch, flops
FROM best JOIN study_runs USING (run_id)
WHERE study = {literal(study)} AND metric = {literal(metric)}
ORDER BY objective, n_params, unique_tokens, seed"""
