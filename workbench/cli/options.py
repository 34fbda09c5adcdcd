"""Arguments and options that commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How rows are written to stdout."""

    table = "table"
    json = "json"
    csv = "csv"


class Axis(StrEnum):
    """What a crossover is measured along."""

    tokens = "tokens"
    epochs = "epochs"
    flops = "flops"
    flops_per_unique = "flops_per_unique"


RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A .toml file, or a shipped recipe's name.")
]
ResultsOption = Annotated[
    Path, typer.Option("--results", envvar="WORKBENCH_RESULTS", help="Folder of runs and store.")
]


def _source(given: str | Path) -> Path:
    if isinstance(given, Path):
        return given
    from workbench.store.source import source_folder

    return source_folder(given)


SourceOption = Annotated[
    Path,
    typer.Option(
        "--results", "--from", envvar="WORKBENCH_RESULTS", parser=_source,
        metavar="DIR|URL|shipped",
        help="Folder of runs and store, or a dataset of `workbench export parquet`; `shipped`: "
        "the studies that come with the workbench.",
    ),
]  # fmt: skip
FormatOption = Annotated[Format, typer.Option("--format", help="How to write the answer.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as training.seed=1."),
]
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Ranks at once. Default: what GPUs or CPU cores hold."),
]
RESULTS = Path("results")
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=THEIRS",
        help="A column or tag that has another name, or what stands for every row.",
    ),
]
UnitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--unit",
        metavar="NAME=FACTOR",
        help="What one of a column or metric is, such as n_params=1e9; 1 where it is right.",
    ),
]


SideOption = Annotated[
    str | None,
    typer.Option(
        metavar="OBJECTIVE|KEY=VALUE and ...",
        help="Default: what the recipe compares. KEY=[A, B] is each of both.",
    ),
]
