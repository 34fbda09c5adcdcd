"""Arguments and options that commands share."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import completing
from workbench.errors import InputError
from workbench.messages import whole_number


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


class Device(StrEnum):
    """What computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Dtype(StrEnum):
    """The precision of a model's weights."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


class LauncherName(StrEnum):
    """What starts a study's runs."""

    local = "local"
    slurm = "slurm"


RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A .toml file, or a shipped recipe's name.",
        autocompletion=completing.recipes,
    ),
]
StudyArgument = Annotated[
    str, typer.Argument(help="Name of the study.", autocompletion=completing.studies)
]
StudiesArgument = Annotated[
    list[str],
    typer.Argument(metavar="STUDY...", help="Names of studies.", autocompletion=completing.studies),
]
SomeStudiesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[STUDY...]",
        help="Only these studies; all where none is given.",
        autocompletion=completing.studies,
    ),
]
OldStudyOption = Annotated[str | None, typer.Option("--study", hidden=True)]
OldStudiesOption = Annotated[list[str] | None, typer.Option("--study", hidden=True)]
"""How studies were named before they became arguments: understood still, and not shown."""
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run id, or the beginning of one.", autocompletion=completing.runs
    ),
]
ModelsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="Run ids, or the beginnings of them; a study, for its finished runs; or models of "
        "Hugging Face, hf:FOLDER or hf:org/name (extra `hf`).",
        autocompletion=completing.runs,
    ),
]
TargetsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY|RUN...",
        help="Studies, run ids, or the beginnings of run ids.",
        autocompletion=completing.targets,
    ),
]
ResultsOption = Annotated[
    Path, typer.Option("--results", envvar="WORKBENCH_RESULTS", help="Folder of runs and store.")
]


def _source(given: str | Path) -> Path:
    if completing.ASKED_BY_A_SHELL in os.environ or isinstance(given, Path):
        return Path(given)  # nothing is fetched for a press of Tab
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
MetricOption = Annotated[
    str, typer.Option("--metric", help="Which metric.", autocompletion=completing.metrics)
]
AxisOption = Annotated[Axis, typer.Option("--axis", help="What to measure it along.")]
AtOption = Annotated[
    str,
    typer.Option(
        "--at",
        metavar="last|best",
        help="Each run's last value, or its best.",
        autocompletion=lambda incomplete: [w for w in ("last", "best") if w.startswith(incomplete)],
    ),
]
OverOption = Annotated[
    str,
    typer.Option(
        "--over", help="What intervals run over: seeds+documents, seeds alone, or documents alone."
    ),
]
AgainstOption = Annotated[
    str | None,
    typer.Option("--against", help="Show the trend along a key, such as unique_tokens."),
]
FigureOption = Annotated[
    Path | None, typer.Option("--figure", help="Also draw it: .svg, .png, .pdf or .html.")
]
DataOption = Annotated[
    bool, typer.Option("--with-data", help="Also write the figure's data, as .csv beside it.")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="CONDITIONS", help="Only runs that meet these."),
]
WaitOption = Annotated[bool, typer.Option("--wait", help="slurm: follow the runs to their end.")]


def _checkpoint(given: object) -> int | None:
    """A step; None for the newest."""
    if given is None or given == "last":
        return None
    step = whole_number(str(given))
    if step is None or step < 0:
        raise InputError(f"--checkpoint {given}: expected a step, or last.")
    return step


CheckpointOption = Annotated[
    int | None,
    typer.Option(
        "--checkpoint",
        metavar="STEP|last",
        parser=_checkpoint,
        help="After which step. Default: last, the newest.",
    ),
]
WeightsOption = Annotated[
    str,
    typer.Option(
        "--weights",
        metavar="raw|ema|stable",
        help="The weights, or an average of them (training.ema, training.average).",
    ),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="What computes.")]
DtypeOption = Annotated[
    Dtype,
    typer.Option(
        "--dtype",
        help="Of the weights in use. auto: what the run trained in, on a CPU float32.",
    ),
]


SideOption = Annotated[
    str | None,
    typer.Option(
        metavar="OBJECTIVE|KEY=VALUE and ...",
        help="Default: what the recipe compares. KEY=[A, B] is each of both.",
    ),
]
