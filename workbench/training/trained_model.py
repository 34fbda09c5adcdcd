"""A run's trained model, for whoever wants to use it: sampling, evaluation, export, audit."""

import logging
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torchtitan.config import TORCH_DTYPE_MAP

from workbench.data import PreparedData
from workbench.data.tokenizers import Tokenizer, load_same_tokenizer, load_tokenizer
from workbench.errors import InputError
from workbench.messages import choose
from workbench.metrics import AVERAGES, RAW
from workbench.recipe import ModelConfig, RunConfig, objective_facts, run_config
from workbench.recipe.kernels import fused
from workbench.recipe.plugins_used import check_plugins
from workbench.runs.checkpoints import all_checkpoints, kept_checkpoints
from workbench.runs.folder import NO_MODEL, RunFolder
from workbench.training import titan_patches
from workbench.training.averages import first_step
from workbench.training.checkpoints import cause, damage, load_checked
from workbench.training.loss import place_loss
from workbench.training.masks import form_for
from workbench.training.model import model_config
from workbench.training.objectives.base import Objective, Vocab
from workbench.training.objectives.registry import build_objective

if TYPE_CHECKING:
    from workbench.training.trainer import StudyTrainer


@dataclass(frozen=True)
class RunModel:
    """The model of a run at one of its checkpoints, in evaluation mode.

    `model(tokens_BL)` gives logits [B, L, V] of positions 0..L-1, L at most `context`. An AR
    model takes BOS and the tokens before; a diffusion model takes MASK where it shall predict.
    Models of objectives of two streams take what their objective makes: two streams and a
    view.
    """

    model: nn.Module
    vocab: Vocab
    tokenizer: Tokenizer
    config: RunConfig
    step: int
    """The checkpoint's step."""
    trained_in: str = "float32"
    """The dtype that the run computed in."""
    weights: str = RAW
    """Or the average of them that these are: "ema" or "stable"."""

    def objective(self) -> Objective:
        """What the model learned, with the estimator of its likelihood."""
        return build_objective(self.config.training, self.vocab)

    @property
    def context(self) -> int:
        """Tokens of the windows that the model was trained on."""
        return self.config.data.seq_len

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> str:
        """What the model computes in: "float32" or "bfloat16"."""
        return str(next(self.model.parameters()).dtype).removeprefix("torch.")


def load_run_model(
    run: RunFolder,
    *,
    device: str = "auto",
    step: int | None = None,
    dtype: str = "float32",
    weights: str = RAW,
) -> RunModel:
    """Read a run's checkpoint, however many ranks wrote it, into one model.

    No process group is needed, and none is made.

    Args:
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        step: which checkpoint. The newest where None, or if that is damaged the one before it:
            then a note says so.
        dtype: "float32", "bfloat16", or "auto": on a GPU the one that the run trained in, float32
            on a CPU.
        weights: "raw", or an average of them that the run has: "ema" or "stable".

    Raises:
        InputError: the run is not there or has no such checkpoint or average, it cannot be read,
            or its tokenizer's file is gone or has changed.
    """
    document = run.config_json()
    if run.is_imported():
        raise InputError(f"run {run.run_id}: {NO_MODEL}.")
    config = run_config(document)
    check_plugins(config, ("objectives",), f"run {run.run_id}")
    checkpoint_step(run, step)
    first = _first_averaged(run, config, weights)
    tokenizer = _tokenizer(run, document["data"]["folder"], config)
    facts = objective_facts(config.training.objective)
    place, trained_in = place_of(device), _trained_in(run)
    computed = compute_dtype(dtype, place, trained_in)
    model: Any = build_model(
        config.model,
        seq_len=config.data.seq_len,
        causal=facts.causal,
        doubled=facts.streams == 2,
        device=place,
    )
    step = _load(model, run, step, weights)
    if step < first:
        raise InputError(
            f"--weights {weights}: run {run.run_id} averages weights from step {first} on, and its "
            f"checkpoint is of step {step}."
        )
    convert_weights(model, computed)
    on_gpu = place == "cuda" and fused(config.training, on_gpu=True)
    model.mask_form = form_for(
        computed, device="cuda" if on_gpu else "cpu", head_dim=config.model.shape.head_dim
    )
    ids = tokenizer.vocabulary
    return RunModel(
        model=model.to(place).requires_grad_(False),
        vocab=Vocab(ids.n_tokens, ids.size, ids.mask_id, ids.bos_id),
        tokenizer=tokenizer,
        config=config,
        step=step,
        trained_in=trained_in,
        weights=weights,
    )


def _first_averaged(run: RunFolder, config: RunConfig, weights: str) -> int:
    """The first step after which a run has such weights."""
    if choose("--weights", weights, (RAW, *AVERAGES)) == RAW:
        return 0
    first = first_step(config, weights)
    if first is None:
        key = {"ema": "training.ema", "stable": "training.average"}[weights]
        raise InputError(
            f"--weights {weights}: run {run.run_id} was trained without {key}, and has its weights "
            "alone."
        )
    return first


def _load(model: nn.Module, run: RunFolder, asked: int | None, weights: str) -> int:
    """Fill a model from a run's checkpoint, and return its step."""
    folders = all_checkpoints(run.checkpoint_dir)
    steps = list(reversed(folders)) if asked is None else [asked]
    for step in steps:
        try:
            load_weights(model, folders[step], weights)
        except InputError as error:
            if step == steps[-1] or damage(error.__cause__) is None:
                raise
            print(f"Note: {error}", file=sys.stderr)
        else:
            if step != steps[0]:
                print(f"Note: the checkpoint of step {step} is used instead.", file=sys.stderr)
            return step
    raise AssertionError("the last step returns or raises")


def convert_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert a model's parameters, as mixed precision does in training: its tables of angles stay
    in float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def checkpoint_step(run: RunFolder, step: int | None = None) -> int:
    """The step of a complete checkpoint: the one asked for, or the newest.

    Raises:
        InputError: there is none, or none of that step.
    """
    steps = list(all_checkpoints(run.checkpoint_dir))
    if not steps:
        raise InputError(
            f"run {run.run_id} has no checkpoint ({run.status().state}). `workbench run` trains it."
        )
    if step is not None and step not in steps:
        saved = ", ".join(map(str, steps))
        raise InputError(f"run {run.run_id} has no checkpoint of step {step}: it keeps {saved}.")
    return steps[-1] if step is None else step


def kept_steps(run: RunFolder) -> list[int]:
    """Steps of the checkpoints that a run keeps: at its `checkpoint_points`, and the newest.

    Raises:
        InputError: it keeps none on the way.
    """
    newest = checkpoint_step(run)
    kept = kept_checkpoints(run.checkpoint_dir)
    if not kept:
        raise InputError(
            f"run {run.run_id} keeps no checkpoints on its way to step {newest}: give "
            "training.checkpoint_points in its recipe, the number of them. It has to be trained "
            f"anew for that: move {run.path} away and run the recipe."
        )
    return sorted({*kept, newest})


def build_model(
    model: ModelConfig, *, seq_len: int, causal: bool, doubled: bool = False, device: str = "cpu"
) -> nn.Module:
    """The network on the host, its weights not yet set, in evaluation mode.

    Args:
        doubled: whether the network reads two streams (`ObjectiveFacts.streams`).
        device: where it will be used: titan has to know.
    """
    titan_patches.use_device(device)
    built: Any = model_config(model, seq_len=seq_len, causal=causal, doubled=doubled).build()
    with torch.no_grad():
        built.init_states()
    network: nn.Module = built.eval()
    return network


def load_weights(model: nn.Module, folder: Path, weights: str = RAW) -> None:
    """Fill a whole model from a distributed checkpoint, without a process group.

    Args:
        weights: as in `load_run_model`.

    Raises:
        InputError: the checkpoint is damaged, or of another model.
    """
    own: dict[str, Tensor] = model.state_dict()
    state = own
    if weights != RAW:  # an average has each matrix once, and they are filled in place
        names = [name for name, _ in model.named_parameters()]
        state = {f"{weights}.{name}": own[name] for name in names}
    # It logs the traceback of an error that it raises all the same.
    torch_log = logging.getLogger()  # the root: that is where it logs
    level = torch_log.level
    torch_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
            load_checked(state, folder, alone=True)
    except (Exception, CheckpointException) as error:
        raise InputError(
            f"the checkpoint in {folder} cannot be read ({cause(error)}). "
            "Move the folder away to use the one before it."
        ) from error
    finally:
        torch_log.setLevel(level)
    model.load_state_dict(own)


def as_trainer(loaded: RunModel) -> "StudyTrainer":
    """A loaded run in the place of a trainer, for measurements that only look at the model."""
    return cast("StudyTrainer", _LoadedTrainer(loaded))


class _LoadedTrainer:
    """What measurements ask of a `StudyTrainer`, of one whole model on one device."""

    def __init__(self, loaded: RunModel) -> None:
        self.model_parts = [loaded.model]
        self.objective = loaded.objective()
        self.device = loaded.device
        self.parallel_dims = SimpleNamespace(dp_enabled=False)
        self.loss_fn = _Loss(loaded.vocab.n_tokens)

    def train_context(self) -> AbstractContextManager[None]:
        return nullcontext()


class _Loss:
    def __init__(self, n_tokens: int) -> None:
        self.n_tokens = n_tokens

    def nll(self, logits_BLV: Tensor, targets_BL: Tensor, *noised: Tensor) -> Tensor:
        return place_loss(logits_BLV, targets_BL, self.n_tokens, *noised)


def place_of(name: str) -> str:
    """ "cpu" or "cuda", of a name that may be "auto".

    Raises:
        InputError: another name, or there is no GPU.
    """
    choose("--device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is no GPU here.")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _trained_in(run: RunFolder) -> str:
    """The dtype that a run computed in, last where there were several."""
    trained_on = run.provenance_json().get("trained_on")
    return str(trained_on[-1]["dtype"]) if trained_on else "float32"


def compute_dtype(name: str, device: str, trained_in: str) -> torch.dtype:
    """What a model computes in: as `load_run_model` says of its `dtype`.

    Raises:
        InputError: a type that is not known.
    """
    if choose("--dtype", name, ("auto", "float32", "bfloat16")) == "auto":
        name = trained_in if device == "cuda" else "float32"
    return TORCH_DTYPE_MAP[name]


def _tokenizer(run: RunFolder, data_folder: str, config: RunConfig) -> Tokenizer:
    """The tokenizer, checked against the one that made the shards where they are still here."""
    try:
        prepared = PreparedData.open(run.results / data_folder)
    except InputError:
        tokenizer = load_tokenizer(config.data.tokenizer)
    else:
        tokenizer = load_same_tokenizer(
            config.data.tokenizer, prepared.manifest["tokenizer"], f"run {run.run_id}"
        )
    if tokenizer.vocabulary.size != config.model.vocab_size:
        raise InputError(
            f"data.tokenizer {config.data.tokenizer}: {tokenizer.vocabulary.size} tokens, and run "
            f"{run.run_id} was trained with {config.model.vocab_size}. Put the old file back."
        )
    return tokenizer
