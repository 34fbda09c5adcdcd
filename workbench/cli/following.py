"""Commands that look at runs: how far they are, what one is, what it writes."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench import stages
from workbench.cli import completing
from workbench.cli.options import (
    RESULTS,
    Format,
    FormatOption,
    ResultsOption,
    RunArgument,
    SomeStudiesArgument,
    SourceOption,
)
from workbench.cli.root import app


@app.command()
def status(
    study: SomeStudiesArgument = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="Show its best and its last value too, and the runs in that order, best first.",
            autocompletion=completing.metrics,
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again and again, until all runs have ended.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.1, metavar="SECONDS", help="With --watch.")
    ] = 2.0,
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Show how far each run is, how fast it trains and when it will be done."""
    from workbench.analysis.one_run import best_first
    from workbench.cli.output import emit
    from workbench.errors import InputError
    from workbench.running.status import status_rows, summaries

    studies = tuple(study or ())
    if watch:
        if metric is not None:
            raise InputError("--metric is not for --watch: the order would change all the time.")
        with stages.shown_elsewhere():
            _watch(results, studies, every, fmt)
        return
    rows = _with_varying(results, status_rows(results, *studies))
    if metric is not None:
        rows = best_first(results, rows, metric)
    emit(_for_people(rows) if fmt == Format.table else rows, fmt)
    if fmt == Format.table:
        for line in summaries(rows):
            print(line, file=sys.stderr)


def _with_varying(results: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `status_rows` with "varies": the keys in which a study's runs differ."""
    from workbench.cli.run_columns import varying
    from workbench.runs.folder import RunFolder

    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name in dict.fromkeys(row["study"] for row in rows):
        run_ids = [row["run_id"] for row in rows if row["study"] == name]
        documents = [RunFolder(results / "runs" / run_id).config_json() for run_id in run_ids]
        values = varying(
            [document["config"] for document in documents],
            [document["derived"].get("n_params") for document in documents],
        )
        found |= {(name, run_id): one for run_id, one in zip(run_ids, values, strict=True)}
    return [row | {"varies": found[row["study"], row["run_id"]]} for row in rows]


def _for_people(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as a table has them: short names, shares and durations, no empty columns."""
    from workbench.cli.run_columns import share, short_names, size, time_text, without_empty

    hidden = {
        "objective", "seed", "state", "step", "steps", "progress", "tokens", "tokens_per_second",
        "seconds_left", "age_seconds", "attempts", "varies", "run_id", "study", "error", "n_params",
    }  # fmt: skip
    several, sizes = (len({row[name] for row in rows}) > 1 for name in ("study", "n_params"))
    keys = short_names([row["varies"] for row in rows])
    names = list(dict.fromkeys(name for row in keys for name in row))
    table = [
        {
            "run_id": row["run_id"],
            **({"study": row["study"]} if several else {}),
            "objective": row["objective"],
            **({"size": size(row["n_params"])} if sizes else {}),
            **{name: own.get(name) for name in names},
            "seed": row["seed"],
            "state": row["state"],
            "progress": share(row["progress"]),
            "step": row["step"],
            "tokens/s": row["tokens_per_second"],
            "to go": time_text(row["seconds_left"]),
            "age": time_text(row["age_seconds"]),
            "attempts": row["attempts"] if row["attempts"] > 1 else None,
            **{name: value for name, value in row.items() if name not in hidden},
            "error": row["error"],
        }
        for row, own in zip(rows, keys, strict=True)
    ]
    return without_empty(table)


def _watch(results: Path, studies: tuple[str, ...], every: float, fmt: Format) -> None:
    """Show the status until no run is left that goes on: a live table on a terminal, else a line
    a study when it changes."""
    from workbench.cli.output import table_of
    from workbench.errors import InputError
    from workbench.running.status import status_rows, summaries
    from workbench.runs.folder import ENDED
    from workbench.terminal import console

    if fmt != Format.table:
        raise InputError("--watch is for people: leave --format out.")

    def look() -> tuple[list[dict[str, Any]], bool]:
        rows = status_rows(results, *studies)
        return rows, all(row["state"] in ENDED for row in rows)

    if not sys.stdout.isatty():
        shown: list[str] = []
        while True:
            rows, over = look()
            lines = summaries(rows) or [f"{len(rows)} runs have ended."]
            if lines != shown:
                print(*lines, sep="\n", flush=True)
                shown = lines
            if over:
                return
            time.sleep(every)
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=console(), auto_refresh=False) as live:
        while True:
            rows, over = look()
            people = _for_people(_with_varying(results, rows))
            table = table_of(_fitting(people, live.console.width))
            live.update(Group(table, Text("\n".join(summaries(rows)))), refresh=True)
            if over:
                return
            time.sleep(every)


def _fitting(rows: list[dict[str, Any]], width: int) -> list[dict[str, Any]]:
    """Rows with as many columns as fit beside each other; how far a run is goes last."""
    from workbench.messages import pretty

    kept = ("run_id", "state", "progress", "to go", "step", "seed", "objective")
    names = list(rows[0]) if rows else []
    order = [name for name in reversed(names) if name not in kept]
    order += [name for name in reversed(kept) if name in names]
    wide = {
        name: 3 + max(len(name), *(len(pretty(row.get(name))) for row in rows)) for name in names
    }
    while order and sum(wide[name] for name in names) > width - 1:
        names.remove(order.pop(0))
    return [{name: row[name] for name in names} for row in rows]


@app.command()
def show(
    run: RunArgument,
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="Another run: only what differs is shown.",
            autocompletion=completing.runs,
        ),
    ] = None,
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Show what a run is: its keys, its last and best values, where its files are."""
    from workbench.analysis.one_run import about_run, differences
    from workbench.cli.output import emit

    one = about_run(results, run)
    if other is not None:
        second = about_run(results, other)
        rows = differences(one, second)
        emit(rows, fmt, document={"runs": [one, second], "differences": rows}, plain=rows)
        if not rows:
            print("No difference.", file=sys.stderr)
        return
    if fmt != Format.table:
        emit([one], fmt, document=one, plain=one["values"])
        return
    known = {name: value for name, value in one.items() if not isinstance(value, dict | list)}
    known |= {"studies": ", ".join(one["studies"])}
    _pairs("what", {name: value for name, value in known.items() if value is not None})
    _pairs("key", one["keys"])
    if one["values"]:
        emit(one["values"], fmt)
    if one["files"]:
        _pairs("file", one["files"])


def _pairs(name: str, values: dict[str, Any]) -> None:
    from workbench.cli.output import emit

    emit([{name: key, "value": value} for key, value in values.items()], Format.table)


@app.command()
def log(
    run: RunArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written, until it ends.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="Lines of the end to begin with; 0 for all.")
    ] = 20,
    results: ResultsOption = RESULTS,
) -> None:
    """Show what a run has written to its log."""
    from workbench.runs.log import log_lines
    from workbench.runs.studies import find_run

    folder = find_run(results, run)
    with stages.shown_elsewhere():
        for line in log_lines(folder, lines, follow=follow):
            print(line, flush=follow)
    if not follow:
        print(folder.log_path, file=sys.stderr)
