"""The decoder: causal or bidirectional, and started from its parameters' names."""

import pytest
import torch
from torch import nn

from workbench.recipe import ModelConfig
from workbench.recipe.models import resolved_model
from workbench.training.model import initialise, model_config

CONFIG = resolved_model(ModelConfig(width=32, layers=2, heads=2, vocab_size=64))


def build(*, causal: bool = True, layers: int = 2, seed: int = 0, std: float = 0.02) -> nn.Module:
    config = CONFIG.model_copy(update={"layers": layers})
    model = model_config(config, seq_len=16, causal=causal).build()
    model.init_states()
    initialise(model, seed=seed, std=std)
    return model


@pytest.mark.parametrize("causal", [True, False])
def test_a_position_sees_later_ones_only_without_the_causal_mask(causal: bool) -> None:
    model = build(causal=causal, std=0.2)
    tokens = torch.randint(0, 64, (1, 16))
    changed = tokens.clone()
    changed[0, 10] = (changed[0, 10] + 1) % 64
    same = torch.isclose(model(tokens), model(changed), atol=1e-6).all(-1)[0]
    assert same[:10].all() == causal
    assert not same[10:].any()


def test_attention_follows_the_rotary_distance() -> None:
    """Shifting equal tokens changes nothing: only relative places are seen."""
    model = build(causal=False, std=0.2)
    tokens = torch.full((1, 16), 5)
    out = model(tokens)
    torch.testing.assert_close(out[0, 3], out[0, 9])


def test_weights_depend_on_seed_and_name_and_agree_across_objectives_and_depths() -> None:
    ar, diffusion, deep = build(causal=True), build(causal=False), build(layers=4)
    for name, parameter in ar.named_parameters():
        assert torch.equal(parameter, diffusion.get_parameter(name))
        assert torch.equal(parameter, deep.get_parameter(name))
    other = build(seed=1)
    name = "layers.0.attention.wo.weight"
    assert not torch.equal(ar.get_parameter(name), other.get_parameter(name))
    second = ar.get_parameter("layers.1.attention.wo.weight")
    assert not torch.equal(ar.get_parameter(name), second)


def test_matrices_start_at_the_asked_deviation_and_norms_at_one() -> None:
    for name, parameter in build(std=0.05).named_parameters():
        if parameter.ndim == 1:
            assert (parameter == 1).all(), name
        else:
            assert parameter.std().item() == pytest.approx(0.05, rel=0.1), name
            assert abs(parameter.mean().item()) < 0.005, name


def test_tied_weights_are_one_matrix() -> None:
    model = build()
    assert model.tok_embeddings.weight is model.lm_head.weight  # type: ignore[union-attr]
