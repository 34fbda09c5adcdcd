"""The KV cache gives the logits of the full forward pass."""

import pytest
import torch
from torch import nn

from tests.training.toy import VOCAB, logits, network
from workbench.generation.incremental import CachedDecoder, GroupDecoder
from workbench.recipe import ModelConfig
from workbench.recipe.models import resolved_model
from workbench.training.model import initialise, model_config
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.base import Corrupted
from workbench.training.objectives.block import block_view

LENGTH = 48
ROUNDING = 1e-4
"""Of logits of ordinary size, which sums in another order move by up to 5e-6 on one processor and
by more on another."""


def build(*, qk_norm: bool = True, tied: bool = True) -> nn.Module:
    config = resolved_model(
        ModelConfig(width=64, layers=3, heads=4, vocab_size=72, qk_norm=qk_norm, tied=tied)
    )
    model = model_config(config, seq_len=LENGTH, causal=True).build()
    model.init_states()
    initialise(model, seed=0, std=0.1)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("qk_norm", [True, False])
@pytest.mark.parametrize("prompt", [1, 2, 17, LENGTH - 1, LENGTH])
def test_logits_are_those_of_the_full_forward_pass(prompt: int, qk_norm: bool) -> None:
    """A prompt of any length at once, then token by token."""
    model = build(qk_norm=qk_norm)
    tokens = torch.randint(0, 72, (3, LENGTH), generator=torch.Generator().manual_seed(prompt))
    decoder = CachedDecoder(model, batch=3, length=LENGTH)
    parts = [decoder.extend_all(tokens[:, :prompt])]
    parts += [decoder.extend_all(tokens[:, i : i + 1]) for i in range(prompt, LENGTH)]
    full = model(tokens)
    assert full.abs().max() > 1, "logits of ordinary size"
    torch.testing.assert_close(torch.cat(parts, dim=1), full, atol=ROUNDING, rtol=0)


def test_pieces_of_any_size_add_up() -> None:
    model = build(tied=False)
    tokens = torch.randint(0, 72, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    decoder = CachedDecoder(model, batch=2, length=LENGTH)
    last = [decoder.extend(piece) for piece in tokens.split([5, 1, 13, 20, 9], dim=1)]
    ends = torch.tensor([5, 6, 19, 39, 48]) - 1
    torch.testing.assert_close(
        torch.stack(last, dim=1), model(tokens)[:, ends], atol=ROUNDING, rtol=0
    )


def test_more_inputs_than_room_are_refused() -> None:
    decoder = CachedDecoder(build(), batch=1, length=4)
    decoder.extend(torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="5 inputs in a cache for 4"):
        decoder.extend(torch.zeros(1, 1, dtype=torch.int64))


def random_tokens(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, VOCAB.n_tokens, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [1, 3, 8, 24])
@pytest.mark.parametrize("read", [0, 1, 2])
def test_a_block_after_clean_ones_has_the_logits_of_the_two_stream_pass(
    size: int, read: int
) -> None:
    """Of all sequences, then of some; the first blocks at once, then one after another."""
    length = 24
    model = network(doubled=True, length=length)
    clean = random_tokens(6, length)
    hidden = torch.rand(clean.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    noisy = torch.where(hidden, VOCAB.mask_id, clean)
    view = block_view(length, size, clean.device)
    whole = logits(model, Corrupted(torch.cat([noisy, clean], dim=1), clean, None, view))
    decoder = GroupDecoder(model, batch=6, length=length, group=size)
    have, row = 0, torch.tensor([1, 4])
    for first in range(min(read * size, length - size), length, size):
        end = first + size
        shown = torch.cat([clean[:, have:first], noisy[:, first:end]], dim=1)
        predicted = decoder.predict(shown, torch.arange(have, end)[None])
        torch.testing.assert_close(predicted, whole[:, first:end], atol=ROUNDING, rtol=0)
        place = torch.arange(first, end)[None]
        again = decoder.predict(noisy[row, first:end], place, row)
        torch.testing.assert_close(again, predicted[row], atol=ROUNDING, rtol=0)
        have = first


@pytest.mark.parametrize("known", [0, 1, 5])
def test_places_in_an_order_have_the_logits_of_the_two_stream_pass(known: int) -> None:
    """Every sequence in an order of its own; the first `known` places at once."""
    length = 12
    model = network(doubled=True, length=length)
    tokens = random_tokens(4, length)
    rank = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(3)).argsort(dim=1)
    place = rank.argsort(dim=1)
    whole = logits(model, AnyOrder(VOCAB, seed=0).in_order(tokens, rank))
    decoder = GroupDecoder(model, batch=4, length=length, group=1)
    have = 0
    for now in range(known, length):
        places = place[:, have : now + 1]
        shown = tokens.gather(1, places)
        shown[:, -1] = VOCAB.mask_id
        predicted = decoder.predict(shown, places)[:, 0]
        expected = whole[torch.arange(4), place[:, now]]
        torch.testing.assert_close(predicted, expected, atol=ROUNDING, rtol=0)
        have = now


def test_some_sequences_alone_cannot_append() -> None:
    decoder = GroupDecoder(network(doubled=True), batch=2, length=4, group=1)
    with pytest.raises(ValueError, match="cannot append"):
        decoder.predict(random_tokens(1, 2), torch.arange(2)[None], torch.tensor([0]))
