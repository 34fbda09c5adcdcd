"""Answers: frozen rows of what was asked, with a frame beside them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from workbench.arguments import public

if TYPE_CHECKING:
    import polars as pl

Row = TypeVar("Row")


@dataclass(frozen=True)
class Answer(Sequence[Row], Generic[Row]):
    """A sequence of an answer's rows.

    `document` is what the command prints with `--format json`, `frame` the same as a Polars frame,
    with intervals and groups in columns of their own; `frame.to_pandas()` where Pandas is wanted.
    """

    rows: tuple[Row, ...]
    document: Any = field(repr=False)
    """What the command line prints as JSON, to the digit."""
    notes: tuple[str, ...] = ()
    """What to know before believing the rows: what intervals run over, what was left out."""

    @classmethod
    def of(
        cls,
        kind: type[Row],
        rows: Sequence[dict[str, Any]],
        notes: Iterable[str | None] = (),
        document: Any = None,
    ) -> Self:
        """An answer from the rows of an analysis; its document is these rows, if not another."""
        names = {one.name for one in fields(kind)}  # type: ignore[arg-type]
        made = tuple(kind(**{k: v for k, v in row.items() if k in names}) for row in rows)
        told = tuple(dict.fromkeys(note for note in notes if note))
        return cls(made, rows if document is None else document, told)

    @property
    def _flat(self) -> list[dict[str, Any]]:
        """The rows that the frame is made of."""
        return list(self.document)

    @cached_property
    def frame(self) -> "pl.DataFrame":
        """The rows as a Polars frame: `..._low` and `..._high` are the ends of an interval, the
        keys of a group stand by their names."""
        from workbench.analysis.answer_frame import answer_frame

        return answer_frame(self._flat)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, place: int | slice) -> Row | tuple[Row, ...]:
        return self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def _repr_html_(self) -> str:
        from html import escape

        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return self.frame._repr_html_() + (f"<ul>{notes}</ul>" if notes else "")


Interval = list[float | None] | None
"""Both ends of a 95 % interval, an end None where it is not known; None without an interval."""


@dataclass(frozen=True)
class Crossover:
    """Where the challenger overtakes the baseline, and stays ahead, in one group of runs."""

    study: str
    group: dict[str, Any]
    """Unique tokens, parameters, and the other keys that distinguish the group."""
    metric: str
    axis: str
    """tokens, epochs, flops or flops_per_unique: the unit of all places."""
    baseline: Any
    challenger: Any
    definition: str
    """band, point or best_so_far."""
    over: str | None
    """What its interval or its band runs over; None where that is neither seeds nor documents."""
    over_asked: str
    status: str
    """crossed, not_reached, ahead_throughout or undecided."""
    crossover: float | None
    """None unless it crossed."""
    first_x: float
    last_x: float
    lower_bound: float | None
    upper_bound: float | None
    ci95: Interval
    ci95_method: str | None
    ci95_note: str | None
    share_crossed: float | None
    """Of seeds, or of resamples."""
    all_crossings: list[float]
    first_crossing: float | None
    estimators: dict[str, str | None]
    seeds: int
    runs: dict[str, list[str]]
    run_seeds: dict[str, list[Any]]
    """Of each of these runs."""
    unfinished: list[str]
    imported: bool


@dataclass(frozen=True)
class Outcome:
    """The best and the last value of one configuration, over its seeds."""

    study: str
    metric: str
    objective: str | None
    group: dict[str, Any]
    seeds: int
    estimator: str | None
    best: dict[str, Any]
    """mean, ci95, ci95_method, ci95_note; so are `last` and `best_epoch`."""
    last: dict[str, Any]
    best_epoch: dict[str, Any]
    still_improving: int
    """Seeds whose last point is their best."""
    runs: list[str]
    unfinished: list[str]


@dataclass(frozen=True)
class Difference:
    """The challenger's mean over seeds less the baseline's, of one pair of configurations."""

    study: str
    group: dict[str, Any]
    metric: str
    at: str
    baseline: Any
    challenger: Any
    baseline_value: float
    challenger_value: float
    difference: float
    ci95: Interval
    ci95_method: str | None
    ci95_note: str | None
    ahead: str | None
    """challenger or baseline; None where the interval contains zero."""
    seeds: int
    estimators: dict[str, str | None]
    runs: dict[str, list[str]]
    run_seeds: dict[str, list[Any]]
    unfinished: list[str]
    over: str | None
    """What the interval runs over; None where that is neither seeds nor documents."""
    over_asked: str
    at_tokens: float | None = None
    """Of the last values: where all compared runs have got."""
    at_epochs: float | None = None


@dataclass(frozen=True)
class Trends(Answer[dict[str, Any]]):
    """How crossovers move along a key: rows of exponents, or of levels, with bounds counted in."""


@public
@dataclass(frozen=True)
class Crossovers(Answer[Crossover]):
    """A study's crossovers, one for each group of runs."""

    def trends(self, against: str) -> Trends:
        """How they move along a key, such as `unique_tokens`: a power law, bounds counted in.

        Raises:
            InputError: no group has the key.
        """
        from workbench.analysis.interval_notes import notes_of
        from workbench.analysis.trends import crossover_trends

        found = crossover_trends(self.document, against)
        # Of the notes on crossovers, not those on their own intervals.
        notes = [note for note in self.notes if note not in notes_of(self.document)]
        return Trends(tuple(found), found, (*notes, *notes_of(found)))


@dataclass(frozen=True)
class BacktestScore:
    """How well one law, or a predictor without one, predicted runs that it was not fitted to."""

    objective: str | None
    along: str
    train: str
    """What the fitted runs have in common."""
    metric: str
    at: str
    """last or best, of each run."""
    predictor: str
    naive: bool
    n_train: int
    n_test: int
    cells: int
    """Held-out configurations."""
    mean_abs_log: float
    rmse_log: float
    """Of log loss: 0.01 is one percent. So are the others that end in `_log`."""
    bias_log: float
    coverage: float | None
    """Share of held-out runs inside their 95 % interval."""
    coverage_ci95: Interval
    covered: int | None
    held_out: list[dict[str, Any]] = field(repr=False)
    fitted: list[list[float]] = field(repr=False)
    best_naive: str
    difference: float | None
    """How much less it errs than the best naive predictor."""
    difference_ci95: Interval


@dataclass(frozen=True)
class Backtest(Answer[BacktestScore]):
    """Laws fitted to the smaller runs of a study, against the larger ones."""

    @property
    def _flat(self) -> list[dict[str, Any]]:
        return list(self.document["rows"])


@dataclass(frozen=True)
class Forecasted:
    """What is expected of one run, its loss, or of one crossover, its training tokens."""

    objective: str | None
    n_params: int | None
    unique_tokens: int | None
    total_tokens: int | None
    metric: str
    expected: float | None
    """The median; None where nothing is known."""
    low: float | None
    """Of the 95 % interval, as `high`."""
    high: float | None
    source: str | None
    after_the_fact: bool
    """Whether there were records already."""
    kind: str
    """run or crossover."""
    run_id: str | None = None
    """None for a crossover, and before the data is prepared."""


@dataclass(frozen=True)
class Forecast(Answer[Forecasted]):
    """What is expected of a study before it is trained."""

    path: Any = None
    """Where it is on record; None where it is not."""

    @property
    def _flat(self) -> list[dict[str, Any]]:
        return [vars(row) for row in self.rows]


Say = Callable[[str], None]
"""What is called with each line of progress, such as `print`."""
