"""A toy network, real in every part, small enough that every sequence can be enumerated."""

import itertools
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import torch
from torch import Tensor, nn

from workbench.recipe import ModelConfig
from workbench.recipe.models import resolved_model
from workbench.training.loss import place_loss
from workbench.training.model import initialise, model_config
from workbench.training.noise import SCHEDULES
from workbench.training.objectives.base import (
    Corrupted,
    Objective,
    TokenBatch,
    Vocab,
    WindowNoise,
)
from workbench.training.objectives.mdlm import MaskedDiffusion
from workbench.training.trainer import StudyTrainer

V, L = 3, 4
VOCAB = Vocab(n_tokens=V, size=8, mask_id=V, bos_id=V + 1)
EVERY_SEQUENCE = torch.tensor(list(itertools.product(range(V), repeat=L)))


def network(*, doubled: bool, causal: bool = False, length: int = L) -> nn.Module:
    """Weights far from zero, so that predictions depend on everything that is seen."""
    config = resolved_model(ModelConfig(width=16, layers=2, heads=2, vocab_size=VOCAB.size))
    model = model_config(config, seq_len=length, causal=causal, doubled=doubled).build()
    model.init_states()
    initialise(model, seed=0, std=0.4)
    return model.eval()


def mdlm(samples: int, weighting: str = "elbo_t") -> MaskedDiffusion:
    return MaskedDiffusion(
        VOCAB,
        schedule=SCHEDULES["linear"],
        weighting=weighting,
        seed=0,
        noise_samples=samples,
    )


def held_out(objective: Objective, tokens: Tensor, draw: int = 0, n_draws: int = 1) -> Corrupted:
    """One draw of validation, of windows in their own order."""
    n = len(tokens)
    return objective.validation_inputs(tokens, WindowNoise(torch.arange(n), n, draw, n_draws))


@torch.no_grad()
def logits(model: nn.Module, seen: Corrupted) -> Tensor:
    """[B, L, V] as the trainer asks for them."""
    out: Tensor = model(seen.inputs_BL, **seen.network_arguments())
    return out


def trainer(model: nn.Module, objective: Objective) -> StudyTrainer:
    """What measurements ask of a trainer, of this network on this machine."""
    return cast(
        StudyTrainer,
        SimpleNamespace(
            model_parts=[model],
            objective=objective,
            device=torch.device("cpu"),
            parallel_dims=SimpleNamespace(dp_enabled=False),
            loss_fn=SimpleNamespace(
                nll=lambda logits, targets, *noised: place_loss(logits, targets, V, *noised)
            ),
            train_context=nullcontext,
        ),
    )


def nll(model: nn.Module, seen: Corrupted) -> Tensor:
    """[B, L] weighted loss of each token."""
    beside = (seen.targets_BL, V, *(seen.noised or ()))
    nll_BL = place_loss(logits(model, seen), *beside).double()
    return nll_BL if seen.weights_BL is None else nll_BL * seen.weights_BL


def batch(tokens: Tensor, *, step: int = 1, first: int = 0, size: int | None = None) -> TokenBatch:
    """Sequences `first` and on of a global batch of `size`."""
    n = len(tokens)
    size = size or n
    return TokenBatch(
        tokens_BL=tokens,
        epoch_B=torch.zeros(n, dtype=torch.int64),
        sample_B=torch.arange(first, first + n),
        position_B=torch.arange(first, first + n),
        step=step,
        batch_epoch_G=torch.zeros(size, dtype=torch.int64),
        batch_sample_G=torch.arange(size),
    )


def with_inputs(seen: Corrupted, inputs_BL: Tensor) -> Corrupted:
    return replace(seen, inputs_BL=inputs_BL)
