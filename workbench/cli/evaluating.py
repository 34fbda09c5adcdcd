"""The command that measures trained runs, and models of others."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    ModelsArgument,
    ResultsOption,
    WeightsOption,
)
from workbench.cli.root import app
from workbench.messages import pairs, whole_number
from workbench.metrics import RAW

if TYPE_CHECKING:
    from workbench.evaluation.evaluate import Loading
    from workbench.evaluation.foreign import MeasuredModel
    from workbench.evaluation.opened import EvalOptions


@app.command("eval")
def eval_(
    run: ModelsArgument,
    tasks: Annotated[
        str,
        typer.Option(
            "--tasks",
            help="Separated by commas: val_loss, cloze, cloze_shots, hellaswag, mmlu, "
            "mmlu_continuation, text, humaneval, humaneval_plus, mbpp, mbpp_plus.",
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
    checkpoint: CheckpointOption = None,
    weights: WeightsOption = RAW,
    all_checkpoints: Annotated[
        bool,
        typer.Option(
            "--all-checkpoints", help="Each of training.checkpoint_points, and the newest."
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
        typer.Option(
            "--temperature",
            help="Of programs. Default: 0, or 0.8 for many attempts. Of texts; default: 1.",
        ),
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
    lengths: Annotated[
        str | None,
        typer.Option(
            "--lengths", help="Tokens of texts, such as 16,64. Default: half of the context."
        ),
    ] = None,
    per_step: Annotated[
        str, typer.Option("--per-step", help="Of texts: tokens a denoising step, such as 1,4.")
    ] = "1",
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="RUN",
            help="Of texts: an AR run. Default: the best of the runs' studies.",
        ),
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
    objective: Annotated[
        str | None, typer.Option("--objective", help="Of hf: models: ar or mdlm.")
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option("--corpus", help="Of hf: models: the text to hold out from, as data.corpus."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Of hf: models: a key of [data], such as data.seq_len=512.",
        ),
    ] = None,
    trust_remote_code: Annotated[
        bool,
        typer.Option("--trust-remote-code", help="Run the modelling file of an hf: model."),
    ] = False,
    mask_id: Annotated[
        int | None,
        typer.Option(
            "--mask-id",
            min=0,
            help="Of hf: models of mdlm: the id of MASK, where their files do not have it.",
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            metavar="NAME",
            help="Of hf: models (default: models), and of ensembles (default: STUDY-ensembles).",
        ),
    ] = None,
    trained_tokens: Annotated[
        float | None,
        typer.Option("--trained-tokens", min=1, help="Of an hf: model, where known: in training."),
    ] = None,
    unique_tokens: Annotated[
        float | None,
        typer.Option("--unique-tokens", min=1, help="Of an hf: model, where known: distinct ones."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Whether to save the numbers with the run.")
    ] = True,
    results: ResultsOption = RESULTS,
    fmt: FormatOption = Format.table,
) -> None:
    """Measure checkpoints of runs, or public models, on tasks, and save the numbers."""
    from workbench.cli.output import emit
    from workbench.errors import InputError
    from workbench.evaluation.complete import Writing
    from workbench.evaluation.evaluate import Loading, evaluate_runs
    from workbench.evaluation.foreign import ForeignRequest, evaluate_foreign
    from workbench.evaluation.opened import EvalOptions, HarnessOptions, TextOptions
    from workbench.evaluation.programs.pass_task import PassOptions
    from workbench.recipe.task_names import TASK_DRAWS
    from workbench.training.foreign_files import PREFIX

    texts = TextOptions(
        _numbers("--lengths", lengths),
        _numbers("--per-step", per_step) or (),
        sampler,
        1.0 if temperature is None else temperature,
        judge,
    )
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
        texts=texts,
    )
    foreign = [name for name in run if name.startswith(PREFIX)]
    own = [name for name in run if name not in foreign]
    of_runs = {"--checkpoint": checkpoint is not None, "--all-checkpoints": all_checkpoints,
               "--ensemble": ensemble, "--weights": weights != RAW,
               "--tasks text": "text" in options.tasks}  # fmt: skip
    of_models = {"--objective": objective, "--corpus": corpus, "--set": overrides,
                 "--trust-remote-code": trust_remote_code, "--mask-id": mask_id is not None,
                 "--study": None if ensemble else study, "--trained-tokens": trained_tokens,
                 "--unique-tokens": unique_tokens}  # fmt: skip
    refused: dict[str, object] = {**(of_runs if foreign else of_models)}
    for option, given in refused.items():
        if given:
            raise InputError(f"{option} is not for {'hf: models' if foreign else 'runs'}.")
    rows = []
    for name in foreign:
        request = ForeignRequest(
            name, objective, corpus, tuple(overrides or ()), trust_remote_code, mask_id
        )
        measured = evaluate_foreign(request, options, results, device=device, dtype=dtype)
        if record:
            name = _record(results, study, measured, trained_tokens, unique_tokens)
        rows += measured.rows(name)
    if own:
        loading = Loading(checkpoint, all_checkpoints, device, dtype, weights)
        if not ensemble:
            rows += evaluate_runs(results, own, options, loading, record=record)
        else:
            rows += _ensemble_rows(results, own, options, loading, study, record=record)
    emit(rows, fmt)


def _ensemble_rows(
    results: Path,
    names: list[str],
    options: "EvalOptions",
    loading: "Loading",
    study: str | None,
    *,
    record: bool,
) -> list[dict[str, Any]]:
    """Measure several runs as one model, and save it as a run of its own."""
    from workbench.evaluation.evaluate import evaluate_ensemble, members_of
    from workbench.importing.ensembles import ensemble_run

    members = members_of(results, names, loading)
    # What cannot be saved is not measured.
    run = ensemble_run(results, study, members) if record else None
    together = evaluate_ensemble(results, members, options, loading)
    if run is None:
        return together.rows("+".join(member.run_id for member in members))
    for note in run.record(together.answers):
        print(f"Note: {note}", file=sys.stderr)
    print(
        f"Saved as run {run.run_id}, an ensemble of {len(members)}, in study {run.study}.",
        file=sys.stderr,
    )
    return together.rows(run.run_id)


def _record(
    results: Path,
    study: str | None,
    measured: "MeasuredModel",
    trained_tokens: float | None,
    unique_tokens: float | None,
) -> str:
    """Save what was measured of a model as an imported run; returns its id."""
    from workbench.importing.measured_models import Checkpoint, record_checkpoint

    checkpoint = Checkpoint(
        name=f"hf:{measured.files.name}",
        revision=measured.files.revision,
        digests=measured.digests,
        reading=measured.model.reading(),
        objective=measured.model.config.training.objective,
        n_params=measured.n_params,
        data=measured.data,
        fingerprint=measured.fingerprint,
        trained_tokens=None if trained_tokens is None else round(trained_tokens),
        unique_tokens=None if unique_tokens is None else round(unique_tokens),
    )
    run_id, notes = record_checkpoint(results, study, checkpoint, measured.answers)
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)
    return run_id


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    from workbench.errors import InputError

    if text is None:
        return None
    parts = [whole_number(part) for part in text.split(",")]
    counts = tuple(part for part in parts if part is not None and part >= 0)
    if len(set(counts)) < len(parts):
        raise InputError(f"{option} {text}: expected different whole numbers, such as 0,1,5.")
    return counts
