"""A trained run, opened for questions: its checkpoint in one process, whatever ranks wrote it."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

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
    """A run's model at one checkpoint, in float32 and in evaluation mode."""

    model: nn.Module
    """Tokens [B, L], L at most `context`, to logits [B, L, V]."""
    vocab: Vocab
    tokenizer: Tokenizer
    config: RunConfig
    step: int

    @property
    def context(self) -> int:
        """Tokens of the windows that the model was trained on."""
        return self.config.data.seq_len

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


def find_run(results: Path, name: str) -> RunFolder:
    """The run with this id, or the only one whose id begins so.

    Raises:
        InputError: none, or several.
    """
    runs = {run.run_id: run for run in list_runs(results)}
    fitting = [name] if name in runs else [one for one in runs if name and one.startswith(name)]
    if len(fitting) == 1:
        return runs[fitting[0]]
    if fitting:
        raise InputError(f"run {name}: that is how {', '.join(fitting)} begin. Give more of it.")
    raise InputError(
        f"--results {results} has no run {name}{suggestion(name, runs) or '.'} "
        "`workbench status` lists what is there."
    )


def load_run_model(run: RunFolder, *, device: str = "auto", step: int | None = None) -> RunModel:
    """Open a run's checkpoint.

    Args:
        device: cpu, cuda, or auto for a GPU where there is one.
        step: the checkpoint's; None for the newest.

    Raises:
        InputError: an imported run, no such checkpoint, one that cannot be read, or a tokenizer
            that is not the one the run was trained with.
    """
    document = run.config_json()
    if document.get("imported") is True:
        raise InputError(f"run {run.run_id} was imported: its numbers are here, its model is not.")
    config = RunConfig.model_validate(document["config"])
    folder, step = _checkpoint(run, step)
    tokenizer = load_tokenizer(config.data.tokenizer)
    vocabulary = tokenizer.vocabulary
    if vocabulary.size != config.model.vocab_size:
        raise InputError(
            f"data.tokenizer {config.data.tokenizer}: {vocabulary.size} tokens with padding, and "
            f"run {run.run_id} was trained with {config.model.vocab_size}. Put its file back."
        )
    model = model_config(
        config.model,
        seq_len=config.data.seq_len,
        causal=OBJECTIVES[config.training.objective].causal,
    ).build()
    model.init_states()
    _read(model, folder)
    return RunModel(
        model=model.to(_device(device)).eval().requires_grad_(False),
        vocab=Vocab(vocabulary.n_tokens, vocabulary.size, vocabulary.mask_id, vocabulary.bos_id),
        tokenizer=tokenizer,
        config=config,
        step=step,
    )


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {name}: expected auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: no GPU is visible here.")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _checkpoint(run: RunFolder, step: int | None) -> tuple[Path, int]:
    steps = saved_steps(run.checkpoint_dir)
    if not steps:
        raise InputError(
            f"run {run.run_id} has no checkpoint yet ({run.status().state}): `workbench run` "
            "trains it."
        )
    if step is not None and step not in steps:
        raise InputError(
            f"--checkpoint {step}: run {run.run_id} keeps those of steps "
            f"{', '.join(map(str, steps))}."
        )
    chosen = steps[-1] if step is None else step
    return run.checkpoint_dir / f"step-{chosen}", chosen


def _read(model: nn.Module, folder: Path) -> None:
    state = model.state_dict()
    try:
        with warnings.catch_warnings():
            # One process reads what several may have written: that is what is wanted.
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
            dcp.load(state, checkpoint_id=folder, no_dist=True)
    except (Exception, CheckpointException) as error:
        raise InputError(
            f"{folder}: cannot be read ({type(error).__name__}: {error}). Take another "
            "--checkpoint."
        ) from error
    model.load_state_dict(state)
