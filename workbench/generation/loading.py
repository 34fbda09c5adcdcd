"""A finished run's model, for whoever wants to use it: sampling, evaluation, export."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from workbench.data import PreparedData
from workbench.data.tokenizers import Tokenizer, load_tokenizer
from workbench.errors import InputError
from workbench.recipe import RunConfig
from workbench.recipe.messages import suggestion
from workbench.runs import RunFolder, list_runs
from workbench.training import titan_imports  # noqa: F401 (before anything of torchtitan)
from workbench.training.checkpoints import saved_steps
from workbench.training.model import model_config
from workbench.training.objectives import OBJECTIVES, Vocab


@dataclass(frozen=True)
class RunModel:
    """The model of a run at one of its checkpoints, in float32 and in evaluation mode.

    `model(tokens_BL)` gives logits [B, L, V] of positions 0..L-1, L at most `context`. An AR
    model takes BOS and the tokens before; a diffusion model takes MASK where it shall predict.
    """

    model: nn.Module
    vocab: Vocab
    tokenizer: Tokenizer
    config: RunConfig
    step: int
    """The checkpoint's step."""

    @property
    def context(self) -> int:
        """Tokens of the windows that the model was trained on."""
        return self.config.data.seq_len

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


def load_run_model(run: RunFolder, *, device: str = "auto", step: int | None = None) -> RunModel:
    """Read a run's checkpoint, however many ranks wrote it, into one float32 model.

    No process group is needed, and none is made.

    Args:
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        step: which checkpoint; the newest where None.

    Raises:
        InputError: the run has no such checkpoint, it cannot be read, or its tokenizer's file is
            gone or has changed.
    """
    document = run.config_json()
    if document.get("imported") is True:
        raise InputError(f"run {run.run_id} is imported: there are numbers and no model.")
    config = RunConfig.model_validate(document["config"])
    step = _checkpoint_step(run, step)
    tokenizer = _tokenizer(run, document["data"]["folder"], config)
    objective = OBJECTIVES[config.training.objective]
    model = model_config(
        config.model,
        seq_len=config.data.seq_len,
        causal=objective.causal,
        doubled=objective.doubled,
    ).build()
    model.init_states()
    _read(model, run.checkpoint_dir / f"step-{step}")
    ids = tokenizer.vocabulary
    return RunModel(
        model=model.to(_device(device)).eval().requires_grad_(False),
        vocab=Vocab(ids.n_tokens, ids.size, ids.mask_id, ids.bos_id),
        tokenizer=tokenizer,
        config=config,
        step=step,
    )


def find_run(results: Path, name: str) -> RunFolder:
    """The run of an id, or of the beginning of one.

    Raises:
        InputError: no run, or several, are called so.
    """
    runs = {run.run_id: run for run in list_runs(results)}
    if name in runs:
        return runs[name]
    found = [run_id for run_id in runs if name and run_id.startswith(name)]
    if len(found) == 1:
        return runs[found[0]]
    if found:
        raise InputError(f"run {name}: {', '.join(found)} begin so. Give more of the id.")
    if not runs:
        raise InputError(f"--results {results}: there are no runs. `workbench run` trains them.")
    raise InputError(
        f"there is no run {name} in {results}{suggestion(name, runs)}. "
        "`workbench status` lists the runs."
    )


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {name}: expected auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is no GPU here.")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _checkpoint_step(run: RunFolder, step: int | None) -> int:
    steps = saved_steps(run.checkpoint_dir)
    if not steps:
        raise InputError(
            f"run {run.run_id} has no checkpoint ({run.status().state}). `workbench run` trains it."
        )
    if step is not None and step not in steps:
        kept = ", ".join(map(str, steps))
        raise InputError(f"run {run.run_id} has no checkpoint of step {step}: it keeps {kept}.")
    return steps[-1] if step is None else step


def _tokenizer(run: RunFolder, data_folder: str, config: RunConfig) -> Tokenizer:
    """The tokenizer, checked against the one that made the shards where they are still here."""
    tokenizer = load_tokenizer(config.data.tokenizer)
    try:
        prepared = PreparedData.open(run.path.parent.parent / data_folder)
    except InputError:
        prepared = None
    if prepared is not None and prepared.manifest["request"]["tokenizer"] != tokenizer.identity:
        raise InputError(
            f"data.tokenizer {config.data.tokenizer}: the file has changed since run "
            f"{run.run_id} was trained. Put the old one back."
        )
    if tokenizer.vocabulary.size != config.model.vocab_size:
        raise InputError(
            f"data.tokenizer {config.data.tokenizer}: {tokenizer.vocabulary.size} tokens, and run "
            f"{run.run_id} was trained with {config.model.vocab_size}. Put the old file back."
        )
    return tokenizer


def _read(model: nn.Module, folder: Path) -> None:
    state = model.state_dict()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
            dcp.load(state, checkpoint_id=folder, no_dist=True)
    except (Exception, CheckpointException) as error:
        raise InputError(
            f"the checkpoint in {folder} cannot be read ({type(error).__name__}: {error}). "
            "Move the folder away to use the one before it."
        ) from error
    model.load_state_dict(state)
