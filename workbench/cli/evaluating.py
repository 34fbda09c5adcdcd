"""The command that measures trained runs."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import (
    RESULTS,
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    Format,
    FormatOption,
    ResultsOption,
    RunsArgument,
)
from workbench.cli.root import app
from workbench.messages import pairs, whole_number


@app.command("eval")
def eval_(
    run: RunsArgument,
    tasks: Annotated[
        str,
        typer.Option(
            "--tasks",
            help="Separated by commas: val_loss, cloze, cloze_shots, hellaswag, mmlu, "
            "mmlu_continuation, humaneval, humaneval_plus, mbpp, mbpp_plus.",
        ),
    ] = "",
    task_file: Annotated[
        list[str] | None,
        typer.Option("--task-file", metavar="NAME=PATH", help="A task's questions: JSON lines."),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws",
            min=1,
            help="Noise draws a window or an answer, where likelihoods are bounds. Default: 32.",
        ),
    ] = None,
    early: Annotated[
        float,
        typer.Option(
            "--early",
            min=0,
            help="Standard errors by which an answer must lead to be asked no further, where there "
            "are 16 draws or more. 0 to take all draws.",
        ),
    ] = 2.0,
    questions: Annotated[
        int | None,
        typer.Option("--questions", min=1, help="At most so many. Default: a file's, or 1,000."),
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option("--shots", help="Solved examples before a question, such as 0,1,5."),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="A step, or last for the newest.")
    ] = "last",
    all_checkpoints: Annotated[
        bool,
        typer.Option(
            "--all-checkpoints", help="All that training.checkpoint_points kept, and the newest."
        ),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Other seeds, other masks.")] = 0,
    device: DeviceOption = Device.auto,
    dtype: DtypeOption = Dtype.auto,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="Programs written for each problem.")
    ] = 1,
    pass_at: Annotated[
        str, typer.Option("--pass-at", help="Attempts that are allowed, such as 1,10.")
    ] = "1",
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", help="Of programs. Default: 0, or 0.8 for many attempts."),
    ] = None,
    max_new: Annotated[
        int, typer.Option("--max-new", min=1, help="Tokens of a program, at most.")
    ] = 512,
    sampler: Annotated[
        str | None, typer.Option("--sampler", help="As for `workbench sample`.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Denoising steps of a program.")
    ] = None,
    harness: Annotated[
        str, typer.Option("--harness", help="Tasks of lm-evaluation-harness (extra `eval`).")
    ] = "",
    include_path: Annotated[
        Path | None, typer.Option("--include-path", help="A folder of its task files.")
    ] = None,
    ensemble: Annotated[
        bool,
        typer.Option("--ensemble", help="All runs as one model that averages their probabilities."),
    ] = False,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Whether to save the numbers with the run.")
    ] = True,
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Measure a run's checkpoints on tasks, and save the numbers with the run."""
    from workbench.cli.output import emit
    from workbench.evaluation.complete import Writing
    from workbench.evaluation.evaluate import evaluate_runs
    from workbench.evaluation.opened import EvalOptions, HarnessOptions
    from workbench.evaluation.programs.pass_task import PassOptions
    from workbench.recipe.task_names import TASK_DRAWS

    if temperature is None:
        temperature = 0.0 if attempts == 1 else 0.8
    writing = Writing(max_new, temperature, seed=seed, sampler=sampler, steps=steps)
    options = EvalOptions(
        tasks=_names(tasks),
        files={name: Path(path) for name, path in pairs("--task-file", task_file).items()},
        questions=questions,
        draws=draws or TASK_DRAWS,
        draws_given=draws is not None,
        early=early or None,
        seed=seed,
        shots=_numbers("--shots", shots),
        passing=PassOptions(attempts, _numbers("--pass-at", pass_at) or (), writing),
        harness=HarnessOptions(_names(harness), include_path),
    )
    rows = evaluate_runs(
        results,
        run,
        options,
        step=_step(checkpoint),
        all_checkpoints=all_checkpoints,
        device=device,
        dtype=dtype,
        record=record,
        together=ensemble,
    )
    emit(rows, fmt)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _step(checkpoint: str) -> int | None:
    from workbench.errors import InputError

    if checkpoint == "last":
        return None
    step = whole_number(checkpoint)
    if step is None or step < 0:
        raise InputError(f"--checkpoint {checkpoint}: expected a step, or last.")
    return step


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    from workbench.errors import InputError

    if text is None:
        return None
    parts = [whole_number(part) for part in text.split(",")]
    counts = tuple(part for part in parts if part is not None and part >= 0)
    if len(set(counts)) < len(parts):
        raise InputError(f"{option} {text}: expected different whole numbers, such as 0,1,5.")
    return counts
