"""What a sampler needs of a model. A trained run gives it, and so does a table of probabilities.

Shape suffixes: B sequences, L tokens a sequence, N tokens at once, V entries of the vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from workbench.generation.incremental import CachedDecoder, GroupDecoder, WholeDecoder
from workbench.recipe import objective_facts
from workbench.training.foreign_model import ForeignModel
from workbench.training.head import logits_at
from workbench.training.noise import LINEAR, SCHEDULES, Mixing, NoiseSchedule
from workbench.training.objectives.base import Vocab
from workbench.training.objectives.uniform import UniformDiffusion
from workbench.training.trained_model import RunModel


class Decoder(Protocol):
    """Reads a sequence from left to right."""

    def extend(self, tokens_BN: Tensor) -> Tensor:
        """Append N inputs to every sequence; [B, V] logits of the token after the last."""
        ...


class Reader(Protocol):
    """Reads groups of tokens in any order: as `GroupDecoder`."""

    def predict(self, tokens_BN: Tensor, place_BN: Tensor, row_R: Tensor | None = None) -> Tensor:
        """Append all groups but the last; logits of the last, in which MASK is sought."""
        ...


@dataclass(frozen=True)
class Network:
    """A model as samplers see it. Logits are of ids 0..V-1, of which `vocab.n_tokens` count."""

    vocab: Vocab
    context: int
    """The longest sequence that the model was trained on."""
    denoise: Callable[[Tensor], Tensor]
    """Tokens [B, L], MASK where a token is sought, to logits [B, L, V]."""
    decoder: Callable[[int, int], Decoder]
    """A decoder for (sequences, inputs at most), which has read nothing yet."""
    schedule: NoiseSchedule = LINEAR
    """The noise schedule of training."""
    mixing: Mixing | None = None
    """What noise makes of a token, where it is more than MASK."""
    block_size: int | None = None
    """Tokens a block, where the model was trained to denoise blocks after one another."""
    reader: Callable[[int, int], Reader] | None = None
    """Of a model of two streams, in the place of `denoise` and `decoder`: a reader for
    (sequences, inputs at most), which has read nothing yet. Its groups are blocks, or single
    tokens where there is no `block_size`."""
    denoise_at: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    """As `denoise`, for rows [N] and places [N] alone: logits [N, V]."""
    device: torch.device | str = "cpu"

    def logits_at(self, tokens_BL: Tensor, sought_BL: Tensor) -> Tensor:
        """[N, V] where `sought_BL` is true, row after row."""
        if self.denoise_at is None:
            return self.denoise(tokens_BL)[sought_BL]
        return self.denoise_at(tokens_BL, *sought_BL.nonzero(as_tuple=True))


def network_of(run: RunModel) -> Network:
    """A loaded run as a network."""
    training = run.config.training
    schedule, group = training.noise_schedule, training.block_size or 1
    objective = run.objective()

    def reader(batch: int, length: int) -> Reader:
        return GroupDecoder(run.model, batch=batch, length=length, group=group)

    @torch.no_grad()
    def denoise_at(tokens_BL: Tensor, row_N: Tensor, place_N: Tensor) -> Tensor:
        return logits_at(run.model, tokens_BL, (row_N, place_N))

    def decoder(batch: int, length: int) -> Decoder:
        if isinstance(run, ForeignModel):
            return WholeDecoder(run.model, drop_first=not run.always_bos)
        return CachedDecoder(run.model, batch=batch, length=length)

    return Network(
        vocab=run.vocab,
        context=run.context,
        denoise=torch.no_grad()(run.model),
        denoise_at=denoise_at,
        decoder=decoder,
        schedule=SCHEDULES[schedule] if schedule else LINEAR,
        mixing=objective.marginals if isinstance(objective, UniformDiffusion) else None,
        block_size=training.block_size,
        reader=reader if objective_facts(training.objective).streams == 2 else None,
        device=run.device,
    )
