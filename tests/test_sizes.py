"""Shapes: parameter counts known from elsewhere, and what titan builds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.sizes import SIZES, ModelShape, padded_vocab


def shape(name: str, vocab: int) -> ModelShape:
    size = SIZES[name]
    return ModelShape(size.layers, size.width, size.heads, size.ffn, vocab, size.tied)


def test_published_models_have_their_published_parameters() -> None:
    assert shape("1B", 50_304).n_params == 1_086_196_992
    assert shape("1.7B", 50_304).n_params == pytest.approx(1.733e9, rel=0.001)
    assert shape("8B", 50_304).n_params == pytest.approx(8.64e9, rel=0.001)


@pytest.mark.parametrize(("n", "padded"), [(258, 264), (50_258, 50_304), (50_278, 50_304), (8, 8)])
def test_published_vocabularies_are_padded_as_published(n: int, padded: int) -> None:
    assert padded_vocab(n) == padded


@given(st.integers(1, 300_000))
def test_padding_holds_the_vocabulary_and_wastes_less_than_a_block(n: int) -> None:
    assert 0 <= padded_vocab(n) - n < (64 if n >= 1000 else 8)


@pytest.mark.parametrize("name", ["0.2M", "5M"])
@pytest.mark.parametrize("tied", [True, False])
def test_counts_are_those_of_the_model_that_is_built(name: str, tied: bool) -> None:
    import torch

    from workbench.recipe import ModelConfig
    from workbench.recipe.models import resolved_model
    from workbench.training.model import model_config

    config = resolved_model(ModelConfig(size=name, tied=tied, vocab_size=264))
    with torch.device("meta"):
        built = model_config(config, seq_len=16, causal=True).build()
    assert sum(p.numel() for p in built.parameters()) == config.shape.n_params
