"""Commands that take something out of the results folder."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import completing
from workbench.cli.options import (
    RESULTS,
    CheckpointOption,
    OldStudiesOption,
    ResultsOption,
    RunArgument,
    WeightsOption,
)
from workbench.cli.root import Commands, app
from workbench.metrics import RAW

export_app = Commands(
    help="Write models and numbers for other programs.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(export_app, name="export")


class Dtype(StrEnum):
    """Precision of exported weights."""

    float32 = "float32"
    bfloat16 = "bfloat16"


@export_app.command("model")
def export_model(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
    checkpoint: CheckpointOption = None,
    weights: WeightsOption = RAW,
    old_step: Annotated[int | None, typer.Option("--step", hidden=True)] = None,
    dtype: Annotated[Dtype, typer.Option("--dtype", help="Of the weights.")] = Dtype.float32,
    results: ResultsOption = RESULTS,
) -> None:
    """Write a run's model as a folder that transformers loads, with its tokenizer and a card."""
    from workbench.runs.studies import find_run

    folder = find_run(results, run)
    from workbench.training import export_model as exporting

    written = exporting.export_model(
        folder,
        out,
        step=old_step if checkpoint is None else checkpoint,
        dtype=dtype.value,
        weights=weights,
    )
    print(f"{out}: the model of run {folder.run_id} after step {written}.", file=sys.stderr)


@export_app.command("parquet")
def export_parquet(
    out: Annotated[
        str,
        typer.Argument(metavar="DIR|URL", help="A folder, or s3://..., gs://... and others."),
    ],
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY...]",
            autocompletion=completing.studies,
            help="Only these studies, to give away: their finished runs and what evaluations "
            "measured, without steps' own numbers, items, host and paths. Studies that are there "
            "stay.",
        ),
    ] = None,
    old_studies: OldStudiesOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Write the store, or some studies of it, as a Parquet dataset, or bring one up to date."""
    from workbench.store.parquet.export import export_parquet as export
    from workbench.store.publish import publish_studies

    studies = [*(studies or ()), *(old_studies or ())]
    report = publish_studies(results, out, studies) if studies else export(results, out)
    for path in report.foreign:
        print(f"Note: {path}: no file of this dataset; other engines may read it.", file=sys.stderr)
    print(
        f"{out}: {report.runs:,} runs; {report.written} files written, {report.removed} removed, "
        f"{report.unchanged} as they were.",
        file=sys.stderr,
    )


@app.command()
def board(
    exports: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR|URL...",
            help="Exports that `workbench export parquet` wrote, or folders of several; shipped "
            "for the studies that ship.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The folder of the site; an earlier board is replaced.")
    ],
) -> None:
    """Write several people's exports as one static site, like compared with like.

    Crossovers, best losses at equal data and at equal compute, forecasts scored and runs
    reproduced, each number linked to its recipe, seeds and versions. The exports are only read.
    """
    from workbench.report.board.write import write_board

    written = write_board(exports, out)
    for note in written.notes:
        print(f"Note: {note}", file=sys.stderr)
    print(written.text, file=sys.stderr)
    print(written.page)
