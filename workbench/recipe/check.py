"""Checks between keys: combinations that no run could train."""

from typing import Any

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.check_data import data_problem
from workbench.recipe.check_objective import check_objective
from workbench.recipe.check_optimizer import check_optimizer
from workbench.recipe.models import CompareConfig, RunConfig, resolved_model
from workbench.recipe.objectives import OBJECTIVES
from workbench.recipe.sizes import SIZES
from workbench.recipe.task_names import PROGRAM_TASKS, file_names, files_of, task_names


def check_compare(compare: CompareConfig, origin: str) -> None:
    """A side that is a name is an objective's."""
    for side in ("baseline", "challenger"):
        value = getattr(compare, side)
        if isinstance(value, str):
            check_side(value, f"{origin}: compare.{side}")


def check_side(name: str, where: str) -> None:
    """A side of a comparison that is a name is an objective's.

    Raises:
        InputError: it is none's.
    """
    if name not in OBJECTIVES:
        raise InputError(
            f'{where} = "{name}"{suggestion(name, OBJECTIVES) or ":"} '
            f"expected one of {', '.join(OBJECTIVES)}, or keys and values."
        )


def check_run(config: RunConfig, document: dict[str, Any], where: str) -> None:
    """Refuse a run whose keys contradict each other.

    Raises:
        InputError: names the keys and values, and what would fit.
    """
    for check in (
        _budget,
        _points,
        _shape,
        _experts,
        _cuda_graphs,
        check_optimizer,
        check_objective,
        _tasks,
        _parallelism,
        data_problem,
    ):
        try:
            problem = check(config)
        except InputError as error:  # of a plug-in
            problem = str(error)
        if problem:
            raise InputError(f"{where}: {problem}")


def _budget(config: RunConfig) -> str | None:
    data, training = config.data, config.training
    if (training.total_tokens is None) == (training.epochs is None):
        given = "both are given" if training.epochs is not None else "neither is given"
        return f"training.total_tokens or training.epochs, exactly one: {given}."
    if data.unique_tokens < data.seq_len:
        return (
            f"data.unique_tokens = {data.unique_tokens}: fewer than one window of "
            f"data.seq_len = {data.seq_len}."
        )
    if data.validation_tokens < data.seq_len:
        return (
            f"data.validation_tokens = {data.validation_tokens}: fewer than one window of "
            f"data.seq_len = {data.seq_len}."
        )
    if (training.epochs or 0.0) * data.unique_tokens >= 2.0**63:
        return f"training.epochs = {training.epochs}: more than 2^63 tokens in all."
    total = training.total_tokens or round((training.epochs or 0) * data.unique_tokens)
    if total < config.tokens_per_step:
        key = "total_tokens" if training.total_tokens else "epochs"
        return (
            f"training.{key} = {getattr(training, key)}: {total} tokens are fewer than one batch "
            f"of training.batch_size x data.seq_len = {config.tokens_per_step}."
        )
    return None


def _points(config: RunConfig) -> str | None:
    training, evaluation = config.training, config.evaluation
    if training.warmup_tokens is not None and training.warmup_steps is not None:
        return "training.warmup_steps or training.warmup_tokens, not both."
    every = evaluation.every_tokens
    if every is None:
        return None
    if "points" in evaluation.model_fields_set and evaluation.points is not None:
        return "evaluation.points or evaluation.every_tokens, not both."
    if every < config.tokens_per_step:
        return (
            f"evaluation.every_tokens = {every}: less than one step of training.batch_size x "
            f"data.seq_len = {config.tokens_per_step} tokens."
        )
    return None


def _shape(config: RunConfig) -> str | None:
    model = config.model
    if model.size is not None and model.size not in SIZES:
        return (
            f'model.size = "{model.size}"{suggestion(model.size, SIZES) or ":"} expected one of '
            f"{', '.join(SIZES)}, or give width, layers and heads."
        )
    resolved = resolved_model(model)
    for key in ("width", "layers", "heads"):
        if getattr(resolved, key) is None:
            return f"model.{key} is missing: give it, or a named model.size."
    assert resolved.width
    assert resolved.heads
    if resolved.width % resolved.heads:
        return f"model.heads = {resolved.heads} does not divide model.width = {resolved.width}."
    if resolved.width // resolved.heads % 2:
        return (
            f"model.width / model.heads = {resolved.width // resolved.heads}: rotary embeddings "
            "need an even number of dimensions a head."
        )
    return None


def _experts(config: RunConfig) -> str | None:
    model, training = resolved_model(config.model), config.training
    if model.moe_experts is None:
        for table, part, key in (
            ("model", config.model, "moe_top_k"),
            ("training", training, "moe_aux_weight"),
            ("training", training, "moe_z_weight"),
        ):
            if getattr(part, key) is not None:
                return f"{table}.{key} needs a mixture of experts: give model.moe_experts too."
        return None
    assert model.moe_top_k
    if model.moe_experts < 2:
        return "model.moe_experts = 1: a mixture has 2 experts or more. Leave the key out."
    if model.moe_top_k > model.moe_experts:
        return (
            f"model.moe_top_k = {model.moe_top_k}: more than model.moe_experts = "
            f"{model.moe_experts}."
        )
    if (model.loops or 1) > 1:
        return (
            f"model.loops = {model.loops} does not go with model.moe_experts, whose routers are "
            "counted once a pass. Leave one of them out."
        )
    return None


def _cuda_graphs(config: RunConfig) -> str | None:
    """A graph replays the same kernels on the same addresses: nothing in it may ask the host."""
    if not config.training.cuda_graphs:
        return None
    model = resolved_model(config.model)
    reasons = {
        "several ranks": config.parallelism.world_size > 1,
        "model.moe_experts": model.moe_experts,
        "model.dropout": model.dropout,
        'training.kernels = "plain"': config.training.kernels == "plain",
    }
    for reason, given in reasons.items():
        if given:
            return f"training.cuda_graphs = true does not go with {reason}. Leave one of them out."
    return None


def _tasks(config: RunConfig) -> str | None:
    evaluation = config.evaluation
    files = evaluation.task_files or {}
    for task in evaluation.tasks:
        if task in PROGRAM_TASKS:
            return (
                f'evaluation.tasks: "{task}" runs programs that the model writes. Ask it of a '
                f"trained run: `workbench eval RUN --tasks {task}`."
            )
        known = task_names()
        if task not in known:
            return (
                f'evaluation.tasks: unknown task "{task}"{suggestion(task, known) or "."} '
                f"Tasks are {', '.join(known)}."
            )
        needed = files_of(task)[:1]
        if needed and needed[0] not in files:
            return (
                f'evaluation.tasks: "{task}" needs its questions: evaluation.task_files = '
                f'{{ {needed[0]} = "PATH" }}.'
            )
    known_files = file_names(evaluation.tasks)
    for name, file in files.items():
        if name not in known_files:
            return (
                f'evaluation.task_files: unknown file "{name}"'
                f"{suggestion(name, known_files) or '.'} Files are {', '.join(known_files)}."
            )
        if file.sha256 is not None:
            return f"evaluation.task_files: {name}: give the path alone; its digest is worked out."
    shots = evaluation.shots
    if shots is not None and (not shots or len(set(shots)) < len(shots)):
        return f"evaluation.shots = {list(shots)}: expected different numbers, one or more."
    if any(shots or ()) and "mmlu" in files and "mmlu_dev" not in files:
        return (
            f"evaluation.shots = {list(shots or ())}: the shots of mmlu come from "
            "evaluation.task_files.mmlu_dev, which is missing."
        )
    if "cloze" in evaluation.tasks and config.data.seq_len < 4:
        return (
            f"evaluation.tasks: cloze needs data.seq_len of 4 or more, not {config.data.seq_len}."
        )
    return None


def _parallelism(config: RunConfig) -> str | None:
    parallelism, training = config.parallelism, config.training
    model = resolved_model(config.model)
    ranks, tensor = parallelism.data_ranks, parallelism.tensor
    if training.batch_size % ranks:
        return (
            f"training.batch_size = {training.batch_size} is not divisible by "
            f"parallelism.shard x parallelism.replicate = {ranks}."
        )
    per_rank = training.batch_size // ranks
    if training.micro_batch_size and per_rank % training.micro_batch_size:
        return (
            f"training.micro_batch_size = {training.micro_batch_size} does not divide the "
            f"{per_rank} sequences of a rank."
        )
    assert model.heads
    if model.heads % tensor:
        return f"parallelism.tensor = {tensor} does not divide model.heads = {model.heads}."
    if model.ffn and model.ffn % tensor:
        return f"parallelism.tensor = {tensor} does not divide model.ffn = {model.ffn}."
    if tensor > 1 and parallelism.sequence_parallel and config.data.seq_len % tensor:
        return (
            f"parallelism.tensor = {tensor} does not divide data.seq_len = {config.data.seq_len}, "
            "which parallelism.sequence_parallel needs."
        )
    return None
