"""Commands about scaling laws, advice and FLOPs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import completing
from workbench.cli.figure_options import with_paper, write_figure
from workbench.cli.options import (
    RESULTS,
    ColumnOption,
    DataOption,
    FigureOption,
    Format,
    FormatOption,
    MetricOption,
    OldStudiesOption,
    OldStudyOption,
    SourceOption,
    UnitOption,
    WhereOption,
)
from workbench.cli.root import app
from workbench.messages import pairs

if TYPE_CHECKING:
    from workbench.figures import Paper


@app.command()
@with_paper
def fit(
    study: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY...]",
            help="Studies of the store; several are fitted together.",
            autocompletion=completing.studies,
        ),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--table", help="Or a table of runs and losses.")
    ] = None,
    old_study: OldStudiesOption = None,
    law: Annotated[
        str, typer.Option("--law", help="Name of the law, or all for a tournament.")
    ] = "data_constrained",
    fixed: Annotated[
        list[str] | None,
        typer.Option("--fixed", metavar="K=V,...", help="Hold parameters at values."),
    ] = None,
    tie: Annotated[
        list[str] | None, typer.Option("--tie", metavar="A=B", help="Make two parameters equal.")
    ] = None,
    share: Annotated[
        str | None, typer.Option("--share", help="Parameters that all objectives have in common.")
    ] = None,
    joint: Annotated[bool, typer.Option("--joint", help="Fit all objectives as one.")] = False,
    two_stage: Annotated[
        bool, typer.Option("--two-stage", help="Fit runs of one epoch first, then the repeats.")
    ] = False,
    metric: MetricOption = "val_loss",
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="last|best|curve",
            help="Of a study: each run's last value, its best, or its whole curve.",
        ),
    ] = "last",
    starts: Annotated[int, typer.Option("--starts", min=1, help="Starts of the search.")] = 64,
    resamples: Annotated[
        int, typer.Option("--resamples", min=0, help="Bootstrap resamples of the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of starts and resamples.")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="COLUMN",
            help="Rows that share their noise are resampled together: those of one size, text, "
            "trunk, seed or any COLUMN; none for rows one by one. Default: points of one run or of "
            "one trunk.",
        ),
    ] = None,
    huber_delta: Annotated[
        float | None,
        typer.Option(
            "--huber-delta",
            min=1e-9,
            help="Of Huber's loss of log loss. Default: 0.001, and least squares for isoflop.",
        ),
    ] = None,
    column: ColumnOption = None,
    unit: UnitOption = None,
    where: WhereOption = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="A folder for its figures and their data.")
    ] = None,
    figure_format: Annotated[
        str, typer.Option("--figure-format", help="svg, png, pdf or html.")
    ] = "svg",
    paper: "Paper | None" = None,
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Fit a scaling law, and show how far the fit can be trusted.

    CONDITIONS are COLUMN OP VALUE, joined by and: OP is =, !=, <, <=, >, >=, or in with values in
    parentheses. A column is one of the table, or a recipe's dotted key or a column of the store.
    """
    from workbench.api.laws import make_fits
    from workbench.api.words import conditions
    from workbench.cli.output import emit
    from workbench.importing.units import parse_units
    from workbench.laws.request import fit_options

    study = [*(study or ()), *(old_study or ())]
    options = fit_options(
        pairs("--fixed", fixed), pairs("--tie", tie), share, joint=joint, two_stage=two_stage,
        starts=starts, resamples=resamples, seed=seed, cluster=cluster, delta=huber_delta,
    )  # fmt: skip
    fits = make_fits(
        law, options, table=table, results=results, studies=study, metric=metric, at=at,
        columns=pairs("--column", column), units=parse_units(pairs("--unit", unit)),
        where=conditions(where), save=True,
    )  # fmt: skip
    lines = list(fits.notes)
    if figures is not None:
        from workbench.figures import save_fits

        lines += save_fits(list(fits), figures, figure_format, paper)
    emit(fits.table, fmt, document=fits.document)
    for line in dict.fromkeys(lines):
        print(line, file=sys.stderr)


@app.command()
def advise(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Size and epochs by this study's runs. Default: published laws.",
            autocompletion=completing.studies,
        ),
    ] = None,
    *,
    unique_tokens: Annotated[
        float, typer.Option("--unique-tokens", min=1, help="Distinct training tokens at hand.")
    ],
    compute: Annotated[float, typer.Option("--compute", help="Training FLOPs at hand, as 6 N D.")],
    params_max: Annotated[
        float | None, typer.Option("--params-max", help="The largest model allowed.")
    ] = None,
    old_study: OldStudyOption = None,
    law: Annotated[
        str, typer.Option("--law", help="Of a study: the law to fit to each objective.")
    ] = "data_constrained",
    fixed: Annotated[
        list[str] | None,
        typer.Option("--fixed", metavar="K=V,...", help="Of a study: hold parameters at values."),
    ] = None,
    metric: MetricOption = "val_loss",
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Show which objective, size and epochs promise the lowest loss.

    The objective follows from crossovers that were measured near these unique tokens, in the
    results folder and in the curves that ship with the workbench; else from laws fitted to one
    study; else from the published law.
    """
    from workbench.api.results import Results
    from workbench.cli.output import emit
    from workbench.laws.advice import advice_rows
    from workbench.laws.request import numbers

    answer = Results(results).advise(
        unique_tokens, compute, study=study or old_study, params_max=params_max, law=law,
        fixed=numbers(pairs("--fixed", fixed)), metric=metric,
    )  # fmt: skip
    emit(advice_rows(answer.document), fmt, document=answer.document)
    for line in answer.notes:
        print(line, file=sys.stderr)


@app.command()
@with_paper
def flops(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Training FLOPs that this study's best values took.",
            autocompletion=completing.studies,
        ),
    ] = None,
    size: Annotated[str | None, typer.Option("--size", help="A named size, such as 1B.")] = None,
    generate: Annotated[
        str | None, typer.Option("--generate", help="Lengths to generate, such as 16,4096.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option("--steps", help="Denoising steps. Default: one a token.")
    ] = None,
    prompt: Annotated[int, typer.Option("--prompt", min=0, help="Tokens of the prompt.")] = 0,
    seq_len: Annotated[int, typer.Option("--seq-len", min=1, help="Of training.")] = 2048,
    vocab_size: Annotated[
        int, typer.Option("--vocab-size", min=2, help="Of the tokenizer; padded.")
    ] = 50258,
    old_study: OldStudyOption = None,
    metric: MetricOption = "val_loss",
    figure: FigureOption = None,
    with_data: DataOption = False,
    paper: "Paper | None" = None,
    results: SourceOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Count training and inference FLOPs of AR and of diffusion."""
    from workbench.analysis.cost import cost_table_row
    from workbench.api.costs import generation_flops, training_flops
    from workbench.api.results import Results
    from workbench.cli.output import emit
    from workbench.errors import InputError
    from workbench.planning.flops import counts, named_shape

    study = study or old_study
    if (size is None) == (study is None):
        raise InputError("give one of --size NAME and STUDY.")
    if study is not None:
        rows = Results(results).study(study).flops(metric).document
        if figure is not None:
            from workbench.figures import training_flops_figure

            drawn = training_flops_figure(rows)
            write_figure(drawn, figure, with_data=with_data, paper=paper)
        emit([cost_table_row(row) for row in rows], fmt, document=rows)
        return
    named = str(size)
    if figure is not None:
        from workbench.figures import generation_flops_figure

        drawn = generation_flops_figure(named_shape(named, vocab_size))
        write_figure(drawn, figure, with_data=with_data, paper=paper)
    if generate is None:
        emit(training_flops(named, seq_len=seq_len, vocab_size=vocab_size).document, fmt)
        return
    lengths = counts("--generate", generate)
    chosen = counts("--steps", steps) if steps else None
    answer = generation_flops(named, lengths, steps=chosen, prompt=prompt, vocab_size=vocab_size)
    emit(answer.document, fmt)
