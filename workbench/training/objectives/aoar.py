"""Any-order autoregression: the chain rule along random orders (XLNet, arXiv 1906.08237; the
causal way of modelling what masked diffusion models, arXiv 2506.19935).

An order gives every place a rank, and place i is predicted from the places of lower rank. One
forward pass over 2L inputs, queries and then contents, predicts all places of a sequence: query i
is MASK at place i and sees itself and the contents of lower rank; content i is token i and sees
contents up to its own rank. So the NLL along a given order is exact.

What is evaluated is the mean NLL over random orders. It is an upper bound of -log of the mixture
E_order p(x | order), the model without an order (Jensen), as the NELBO is for diffusion; its
estimator is called `nelbo/orders`.
"""

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from workbench.recipe import TrainingConfig, objective_facts
from workbench.training.hashing import hash_uniform, stream_key
from workbench.training.objectives.base import (
    Corrupted,
    Objective,
    TokenBatch,
    View,
    Vocab,
    WindowNoise,
)
from workbench.training.objectives.block import block_view


class AnyOrder(Objective):
    """Autoregression in an order drawn for each sequence. Position i predicts token i."""

    facts = objective_facts("aoar")

    def __init__(self, vocab: Vocab, *, seed: int, noise_samples: int = 1) -> None:
        self.vocab = vocab
        self.noise_samples = noise_samples
        self._order_key = stream_key("order", seed)

    @classmethod
    def from_config(cls, training: TrainingConfig, vocab: Vocab) -> Self:
        return cls(vocab, seed=training.seed, noise_samples=training.noise_samples or 1)

    @property
    def train_estimator(self) -> str:
        samples = f"/samples={self.noise_samples}" if self.noise_samples > 1 else ""
        return f"{self.validation_estimator}{samples}"

    def in_order(self, tokens_BL: Tensor, rank_BL: Tensor) -> Corrupted:
        """Inputs for the exact -log p(token | tokens of lower rank) at every place.

        Args:
            rank_BL: each row a permutation of 0..L-1: when each place is predicted.
        """
        length = tokens_BL.shape[1]
        lower_BLL = rank_BL[:, None, :] < rank_BL[:, :, None]
        own_BLL = torch.eye(length, dtype=torch.bool, device=rank_BL.device).expand_as(lower_BLL)
        query_BLT = torch.cat([own_BLL, lower_BLL], dim=2)
        content_BLT = torch.cat([torch.zeros_like(own_BLL), lower_BLL | own_BLL], dim=2)
        place_1T = torch.arange(length, device=rank_BL.device).repeat(2)[None]
        query_BL = torch.full_like(tokens_BL, self.vocab.mask_id)
        return Corrupted(
            torch.cat([query_BL, tokens_BL], dim=1),
            tokens_BL,
            None,
            View(place_1T, torch.cat([query_BLT, content_BLT], dim=1)),
        )

    def along(self, tokens_BL: Tensor, rank_BL: Tensor) -> Corrupted:
        """As `in_order` for permutations, its places on a GPU in the order that they are predicted
        in: all sequences then share one mask, whose tiles are empty or full but for its diagonals,
        where in the text's order every tile would be computed."""
        if tokens_BL.device.type == "cpu":
            return self.in_order(tokens_BL, rank_BL)
        return self.sorted_by_rank(tokens_BL, rank_BL)

    def sorted_by_rank(self, tokens_BL: Tensor, rank_BL: Tensor) -> Corrupted:
        """As `in_order`, with inputs, targets and positions in the order of their ranks."""
        place_BL = rank_BL.argsort(dim=1)
        sorted_BL = tokens_BL.gather(1, place_BL)
        query_BL = torch.full_like(sorted_BL, self.vocab.mask_id)
        # In that order each place is a block of its own.
        left_to_right = block_view(tokens_BL.shape[1], 1, tokens_BL.device)
        return Corrupted(
            torch.cat([query_BL, sorted_BL], dim=1),
            sorted_BL,
            None,
            replace(left_to_right, positions_BT=place_BL.repeat(1, 2)),
        )

    def corrupt(self, batch: TokenBatch) -> Corrupted:
        """An order for each sequence, keyed by (seed, epoch, sample)."""
        length = batch.tokens_BL.shape[1]
        uniforms_BL = _uniforms(self._order_key, batch.epoch_B, batch.sample_B, length=length)
        return self.along(batch.tokens_BL, _ranks(uniforms_BL))

    def validation_inputs(self, tokens_BL: Tensor, noise: WindowNoise) -> Corrupted:
        """L windows share an order up to its rotation: every place has every rank once in them.

        A window's draws are rotations of its order too, as far apart as they can be; beyond L
        draws, another order begins.
        """
        length = tokens_BL.shape[1]
        turn, step = divmod(noise.draw, length)
        steps = min(length, noise.n_draws - turn * length)
        order_B, rotation_B = noise.place_B // length, noise.place_B % length
        key_B = torch.full_like(order_B, turn)
        rank_BL = _ranks(_uniforms(noise.key, order_B, key_B, length=length))
        rotation_B = rotation_B + step * length // steps
        return self.along(tokens_BL, (rank_BL + rotation_B[:, None]) % length)

    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, draw: int, n_draws: int
    ) -> Corrupted:
        """The context comes first, in a random order, then the answer in another. The answer's
        orders are rotated from draw to draw, so that its places take all ranks in turn."""
        n_answer = tokens_BL.shape[1] - answer_start
        turn, step = divmod(draw, n_answer)  # a full turn uses up the rotations of one order
        steps = min(n_answer, n_draws - turn * n_answer)
        key_B = (question_B << 20) + turn
        context_BC = _ranks(_uniforms(_CONTEXT_KEY, key_B, length=answer_start))
        answer_BA = _ranks(_uniforms(_ANSWER_KEY, key_B, length=n_answer))
        answer_BA = (answer_BA + step * n_answer // steps) % n_answer
        rank_BL = torch.cat([context_BC, answer_BA + answer_start], dim=1)
        weights_BL = torch.zeros_like(tokens_BL, dtype=torch.float32)
        # The answer's places are the last by rank, too.
        weights_BL[:, answer_start:] = 1.0
        along = self.along(tokens_BL, rank_BL)
        return replace(along, weights_BL=weights_BL, first=answer_start)


_CONTEXT_KEY = stream_key("context order")
_ANSWER_KEY = stream_key("answer order")


def _uniforms(key: int, *counters_B: Tensor, length: int) -> Tensor:
    """[B, length] uniforms, one a place."""
    place_L = torch.arange(length, device=counters_B[0].device)
    return hash_uniform(key, *(counter[:, None] for counter in counters_B), place_L[None, :])


def _ranks(uniforms_BL: Tensor) -> Tensor:
    """[B, L] the rank of each place: every permutation as likely."""
    return uniforms_BL.argsort(dim=1, stable=True).argsort(dim=1)
