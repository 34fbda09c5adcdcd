"""The command that makes text with a trained model."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.options import (
    RESULTS,
    CheckpointOption,
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    Format,
    FormatOption,
    ResultsOption,
    RunArgument,
    WeightsOption,
)
from workbench.cli.root import app
from workbench.metrics import RAW

if TYPE_CHECKING:
    from workbench.generation.completion import Completions


@app.command()
def sample(
    run: RunArgument,
    prompt: Annotated[str, typer.Option("--prompt", help="The text to go on from.")] = "",
    prompt_file: Annotated[
        Path | None, typer.Option("--prompt-file", help="A UTF-8 file with the prompt.")
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", help="Tokens to add. Default: what the context has room for."),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            "--sampler",
            help="A sampler of the model's objective: docs/objectives.md has them. A name that "
            "does not fit is answered with those that do.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", help="Denoising steps. Default: as many as tokens."),
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", help="0 takes the likeliest token.")
    ] = 1.0,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Draw from the likeliest tokens that hold so much.")
    ] = 1.0,
    block_size: Annotated[
        int | None,
        typer.Option("--block-size", help="Tokens a block, where the model has none. Default: 32."),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option("--window", help="Beyond the context, go on from the last so many tokens."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Other seeds, other texts.")] = 0,
    count: Annotated[int, typer.Option("--count", min=1, help="Texts to make.")] = 1,
    checkpoint: CheckpointOption = None,
    weights: WeightsOption = RAW,
    device: DeviceOption = Device.auto,
    dtype: DtypeOption = Dtype.auto,
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Make text with a trained model, and say how fast."""
    from workbench.generation.completion import complete, read_prompt
    from workbench.generation.samplers import choose_sampler
    from workbench.generation.settings import Settings
    from workbench.runs.studies import find_run
    from workbench.training.trained_model import load_run_model

    settings = Settings(
        temperature=temperature, top_p=top_p, seed=seed, steps=steps, block_size=block_size
    )
    text = read_prompt(prompt, prompt_file)
    model = load_run_model(
        find_run(results, run), device=device, step=checkpoint, dtype=dtype, weights=weights
    )
    chosen = choose_sampler(sampler, model.config.training.objective)
    made = complete(model, chosen, text, settings, n_new=tokens, count=count, window=window)
    _show(made, fmt)
    print(made.summary(), file=sys.stderr)


def _show(made: "Completions", fmt: Format) -> None:
    from workbench.cli.output import emit

    if fmt != Format.table:
        emit(made.rows, fmt)
        return
    for number, row in enumerate(made.rows):
        if len(made.rows) > 1:
            print(f"--- sample {row['sample']}" if number == 0 else f"\n--- sample {row['sample']}")
        print(f"{row['prompt']}{row['text']}")
