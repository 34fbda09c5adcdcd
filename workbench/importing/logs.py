"""Logs of runs as points: each run's tags become metrics, its steps tokens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import InputError
from workbench.importing.log_facts import Given, check_known, first_names, given_facts
from workbench.importing.log_tokens import tokens_at
from workbench.importing.points import Points, negative_losses, read_points
from workbench.importing.request import Request
from workbench.importing.run_log import Loaders, RunLog
from workbench.importing.table import ROW, RawTable
from workbench.importing.tags import Tags, assign_tags, metric_name
from workbench.messages import suggestion

RUN = "run"
"""The label of a run's name."""
_COUNTED_BACK = (
    "tokens are counted back from the last step, taken for the end that the run's name or a table "
    "tells; a run that was cut short is misplaced. --column tokens_per_step=N is exact"
)


def read_logs(source: Path, loaders: Loaders, request: Request) -> Points:
    """The points of all runs of a source. A run that cannot be read costs only itself.

    Raises:
        InputError: no run can be read, or what is needed to compare them is not known.
    """
    given = given_facts(request)
    runs = _Runs(source, given, request)
    for name, load in loaders.items():
        runs.read(name, load)
    return runs.points()


class _Runs:
    """Runs that were read, and what was left out of them."""

    def __init__(self, source: Path, given: Given, request: Request) -> None:
        self.source, self.given, self.request = source, given, request
        self.frames: dict[str, pl.DataFrame] = {}
        self.known: dict[str, dict[str, Any]] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        """Of the runs of `frames`."""
        self.files: dict[str, list[dict[str, str]]] = {}
        self.tags: set[str] = set()
        self.notes: list[str] = []
        self.failed: dict[str, str] = {}
        self.empty: list[str] = []
        self.not_in_table: list[str] = []
        self.counted_back: list[str] = []
        self.not_finite = 0

    def read(self, name: str, load: Any) -> None:
        """Read one run, and take what can be taken of it."""
        if self.given.row(name) is None:
            self.not_in_table.append(name)
            return
        try:
            log: RunLog = load()
            facts = self.known[name] = self.given.of(name, log)
            self.notes += log.notes
            self.tags |= {*log.scalars, *log.last}
            frame = self._frame(name, log, facts)
        except InputError as error:
            self.failed[name] = str(error)
            return
        self.files[name] = log.files
        if frame.is_empty():
            self.empty.append(name)
        else:
            self.frames[name], self.facts[name] = frame, facts

    def _frame(self, name: str, log: RunLog, facts: Mapping[str, Any]) -> pl.DataFrame:
        """step, metric, total_tokens, value: a run's points."""
        chosen = assign_tags(name, [*{**log.scalars, **log.last}], self.given.tags, self.request)
        self.notes += chosen.notes
        rows = [
            (step, metric, value)
            for tag, metric in chosen.metrics.items()
            for step, value in sorted(log.scalars.get(tag, {}).items())
        ]
        schema = {"step": pl.Int64, "metric": pl.String, "value": pl.Float64}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        tokens = pl.Series("total_tokens", [], dtype=pl.Int64)
        if rows:
            counts, back = tokens_at(
                log, chosen, facts, frame["step"].to_numpy(), self.request.units,
                pace_given=self.given.says(name, "tokens_per_step"),
            )  # fmt: skip
            tokens = pl.Series("total_tokens", counts, dtype=pl.Int64)
            if back:
                self.counted_back.append(name)
        frame = frame.with_columns(tokens)
        if log.over_tokens:
            frame = frame.with_columns(pl.lit(None, pl.Int64).alias("step"))
        ends = {tag: m for tag, m in chosen.metrics.items() if tag in log.last}
        if ends:
            end = self._end(log, chosen, facts) if frame.is_empty() else tokens.max()
            if end is None:
                raise InputError(
                    "nothing tells how many tokens it had seen at its end: give "
                    "--column total_tokens=N, or --runs a table with that column."
                )
            values = [(ends[tag], log.last[tag], log.last_stderr.get(tag)) for tag in ends]
            schema = {"metric": pl.String, "value": pl.Float64, "stderr": pl.Float64}
            last = pl.DataFrame(values, schema=schema, orient="row").with_columns(
                pl.lit(round(end), pl.Int64).alias("total_tokens")
            )
            frame = pl.concat([frame, last], how="diagonal")
        return self._sound(name, frame)

    def _end(self, log: RunLog, chosen: Tags, facts: Mapping[str, Any]) -> float | None:
        """Tokens at the end of a run that has no curve."""
        counted = log.last.get(chosen.tokens or "")
        end: float | None = facts.get("total_tokens", counted)
        return end

    def _sound(self, name: str, frame: pl.DataFrame) -> pl.DataFrame:
        finite = frame.filter(pl.col("value").is_finite())
        self.not_finite += frame.height - finite.height
        wrong = finite.filter(negative_losses(finite))
        for metric, of in wrong.group_by("metric", maintain_order=True):
            row = of.row(0, named=True)
            self.notes.append(
                f"{name}: {metric[0]} at step {row['step']} is {row['value']:g}, and a loss is "
                f"never negative: {metric[0]} of this run is left out."
            )
        finite = finite.filter(~pl.col("metric").is_in(wrong["metric"].unique().implode()))
        return finite.unique(["metric", "total_tokens"], keep="last", maintain_order=True)

    def points(self) -> Points:
        """All of it, typed and checked."""
        self._check_tags()
        self.request.check({*self.tags, *map(metric_name, self.tags), *self.given.tags})
        if not self.frames:
            check_known(self.source, {n: f for n, f in self.known.items() if n in self.failed})
            raise InputError(self._nothing())
        check_known(self.source, self.facts)
        # Tokens are counted in their unit already.
        units = {n: u for n, u in self.request.units.items() if n != "total_tokens"}
        table = self._table()
        points = read_points(table, Request(units=units, labels=tuple(table.columns)))
        provenance: dict[str, Any] = {
            "source": {"file": self.source.resolve().name, "events": self.files},
            "columns": dict(self.request.columns),
        }
        notes = [*self.notes, *self._left_out()]
        if self.counted_back:
            back = self.counted_back
            provenance["tokens"] = {"said": _COUNTED_BACK, "runs": back}
            notes.append(f"{len(back)} of {len(self.frames)} runs: {_COUNTED_BACK}.")
        notes = list(dict.fromkeys([*notes, *points.notes]))
        return Points(points.frame, points.labels, provenance, notes)

    def _check_tags(self) -> None:
        for ours, theirs in self.given.tags.items():
            if theirs not in self.tags and not self.failed:
                raise InputError(
                    f"--column {ours}={theirs}: no run in {self.source} has the tag {theirs}"
                    f"{suggestion(theirs, self.tags) or '.'} "
                    f"Tags: {', '.join(sorted(self.tags)) or 'none'}."
                )

    def _nothing(self) -> str:
        if self.failed:
            name, problem = next(iter(self.failed.items()))
            rest = f" The same or worse of {len(self.failed) - 1} more runs."
            return f"{self.source}: {name}: {problem}{rest if len(self.failed) > 1 else ''}"
        if self.not_in_table:
            return (
                f"--runs {self.request.runs} names none of the runs in {self.source}: "
                f"{first_names(self.not_in_table)}."
            )
        reasons = " ".join(self.notes)
        return f"{self.source}: no scalars to read in {first_names(self.empty)}. {reasons}".rstrip()

    def _left_out(self) -> list[str]:
        notes = [f"{name} is left out: {problem}" for name, problem in self.failed.items()]
        if len(notes) > 3:
            notes = [*notes[:3], f"and {len(notes) - 3} more runs that cannot be read."]
        for names, why in (
            (self.empty, "no scalars to read"),
            (self.not_in_table, f"not in {self.request.runs}"),
        ):
            if names:
                count = "1 run is" if len(names) == 1 else f"{len(names)} runs are"
                notes.append(f"{count} left out, {why}: {first_names(names)}.")
        if self.not_finite:
            notes.append(f"values that are not finite are left out: {self.not_finite:,}.")
        return notes

    def _table(self) -> RawTable:
        """All points as one long table, with what is known of the runs in columns of text."""
        of_points = ("metric", "total_tokens", "value", "step", "tokens_per_step")
        point = {*of_points, "tokens_per_sample"}
        keys = list(dict.fromkeys(k for f in self.facts.values() for k in f if k not in point))
        facts = {n: {k: str(f[k]) for k in keys if k in f} for n, f in self.facts.items()}
        if RUN in self.request.labels:
            keys = list(dict.fromkeys([*keys, RUN]))
            facts = {name: {**known, RUN: name} for name, known in facts.items()}
        self._check_distinct(facts)
        frames = [
            frame.with_columns(pl.lit(facts[name].get(key), pl.String).alias(key) for key in keys)
            for name, frame in self.frames.items()
        ]
        names = [name for name, frame in self.frames.items() for _ in range(frame.height)]
        frame = pl.concat(frames, how="diagonal").with_row_index(ROW)
        steps = frame["step"].to_list()

        def place(row: int) -> str:
            return f"run {names[row]}" + ("" if steps[row] is None else f", step {steps[row]}")

        columns = [name for name in frame.columns if name != ROW]
        return RawTable(self.source, "", frame, columns, places=place)

    def _check_distinct(self, facts: Mapping[str, Mapping[str, str]]) -> None:
        first: dict[str, str] = {}
        for name, known in facts.items():
            other = first.setdefault(repr(sorted(known.items())).lower(), name)
            if other != name:
                raise InputError(
                    f"{self.source}: {other} and {name} describe the same run. Add a tag to the "
                    "name of one of them, give --runs a table with a column that distinguishes "
                    "them, such as seed, or take their names for it: --label run."
                )
