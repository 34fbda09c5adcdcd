"""The KV cache gives the logits of the full forward pass."""

import pytest
import torch
from torch import nn

from workbench.generation.incremental import CachedDecoder
from workbench.recipe import ModelConfig
from workbench.recipe.models import resolved_model
from workbench.training.model import initialise, model_config

LENGTH = 48


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
    torch.testing.assert_close(torch.cat(parts, dim=1), full, atol=1e-5, rtol=0)


def test_pieces_of_any_size_add_up() -> None:
    model = build(tied=False)
    tokens = torch.randint(0, 72, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    decoder = CachedDecoder(model, batch=2, length=LENGTH)
    last = [decoder.extend(piece) for piece in tokens.split([5, 1, 13, 20, 9], dim=1)]
    ends = torch.tensor([5, 6, 19, 39, 48]) - 1
    torch.testing.assert_close(torch.stack(last, dim=1), model(tokens)[:, ends], atol=1e-5, rtol=0)


def test_more_inputs_than_room_are_refused() -> None:
    decoder = CachedDecoder(build(), batch=1, length=4)
    decoder.extend(torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="5 inputs in a cache for 4"):
        decoder.extend(torch.zeros(1, 1, dtype=torch.int64))
