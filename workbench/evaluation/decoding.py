"""Greedy decoding of windows' ends, as each objective's models can be asked for them.

One forward pass a token, over the whole window and without a cache: it goes through a trainer's
model, on any number of ranks, so that memorisation is measured while a run trains.

Shape suffixes: B windows, L tokens a window.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from workbench.evaluation.argmax import Likeliest
from workbench.generation.choice import surest_first
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.base import Objective, View
from workbench.training.objectives.block import BlockDiffusion, block_view


class Ask(Protocol):
    """The likeliest token at each of L places, given inputs and, of two streams, their view."""

    def __call__(self, inputs_BL: Tensor, view: View | None = None) -> Likeliest: ...


@torch.no_grad()
def left_to_right(ask: Ask, tokens_BL: Tensor, start: int, objective: Objective) -> Tensor:
    """[B, L] windows whose tokens from `start` on were decoded greedily, each after the last."""
    found_BL = tokens_BL.clone()
    inputs_BL = torch.full_like(tokens_BL, objective.vocab.bos_id)
    inputs_BL[:, 1 : start + 1] = tokens_BL[:, :start]
    length = tokens_BL.shape[1]
    for place in range(start, length):
        found_BL[:, place] = ask(inputs_BL).token_BL[:, place]
        if place + 1 < length:
            inputs_BL[:, place + 1] = found_BL[:, place]
    return found_BL


@torch.no_grad()
def by_confidence(ask: Ask, tokens_BL: Tensor, start: int, objective: Objective) -> Tensor:
    """[B, L] windows whose tokens from `start` on were masked and filled in, the surest first."""
    mask_id = objective.vocab.mask_id
    found_BL = _masked_from(start, tokens_BL, mask_id)
    for _ in range(start, tokens_BL.shape[1]):
        _fill_the_surest(found_BL, ask(found_BL), found_BL == mask_id)
    return found_BL


@torch.no_grad()
def block_by_block(ask: Ask, tokens_BL: Tensor, start: int, objective: BlockDiffusion) -> Tensor:
    """As `by_confidence` within one block at a time, from left to right: the model sees the block
    and the clean ones before it."""
    mask_id, size = objective.vocab.mask_id, objective.block_size
    length = tokens_BL.shape[1]
    view = block_view(length, size, tokens_BL.device)
    block_L = torch.arange(length, device=tokens_BL.device) // size
    found_BL = _masked_from(start, tokens_BL, mask_id)
    for place in range(start, length):
        # All places before this one are known: blocks fill up in order.
        sought_BL = (found_BL == mask_id) & (block_L == place // size)
        # MASK in the clean stream stands in blocks that this one does not see there.
        answer = ask(torch.cat([found_BL, found_BL], dim=1), view)
        _fill_the_surest(found_BL, answer, sought_BL)
    return found_BL


@torch.no_grad()
def in_surest_order(ask: Ask, tokens_BL: Tensor, start: int, objective: AnyOrder) -> Tensor:
    """As `by_confidence` with an any-order model: the prompt is read from left to right, and of
    the places that are left the surest comes next in the order."""
    (n_rows, length), device = tokens_BL.shape, tokens_BL.device
    mask_id = objective.vocab.mask_id
    found_BL = _masked_from(start, tokens_BL, mask_id)
    # Places that are sought share the highest rank: each sees what is known, and none another.
    rank_BL = torch.arange(length, device=device).repeat(n_rows, 1)
    rank_BL[:, start:] = length
    for rank in range(start, length):
        seen = objective.in_order(found_BL, rank_BL)
        answer = ask(seen.inputs_BL, seen.view)
        place_B1 = _fill_the_surest(found_BL, answer, found_BL == mask_id)
        rank_BL.scatter_(1, place_B1, rank)
    return found_BL


def _masked_from(start: int, tokens_BL: Tensor, mask_id: int) -> Tensor:
    found_BL = tokens_BL.clone()
    found_BL[:, start:] = mask_id
    return found_BL


def _fill_the_surest(found_BL: Tensor, answer: Likeliest, sought_BL: Tensor) -> Tensor:
    """Set one of each row's sought places, the leftmost of those that are equally sure; returns
    which, [B, 1]."""
    length = sought_BL.shape[1]
    left_first_BL = (torch.arange(length, device=sought_BL.device) / length).expand_as(sought_BL)
    sure_BL = answer.log_p_BL.masked_fill(~sought_BL, -math.inf)
    place_B1 = surest_first(sure_BL, left_first_BL)[:, :1]
    found_BL.scatter_(1, place_B1, answer.token_BL.gather(1, place_B1))
    return place_B1


DECODERS: dict[str, Callable[[Ask, Tensor, int, Any], Tensor]] = {
    "left-to-right": left_to_right,
    "by-confidence": by_confidence,
    "block-by-block": block_by_block,
    "surest-order": in_surest_order,
}
"""Greedy decoding by the names that the table of objectives (`recipe/objectives.py`) has."""
