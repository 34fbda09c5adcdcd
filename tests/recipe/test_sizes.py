"""Shapes: parameter counts known from elsewhere, and what titan builds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.recipe.sizes import SIZES, ModelShape, padded_vocab


def shape(name: str, vocab: int) -> ModelShape:
    return SIZES[name].shape(vocab)


def test_published_models_have_their_published_parameters() -> None:
    assert shape("1B", 50_304).n_params == 1_086_196_992
    assert shape("1.7B", 50_304).n_params == pytest.approx(1.733e9, rel=0.001)
    assert shape("8B", 50_304).n_params == pytest.approx(8.64e9, rel=0.001)


def test_the_mixture_has_8b_parameters_of_which_a_token_uses_1b() -> None:
    mixture = shape("8B-A1B", 50_258)
    assert mixture.n_params == pytest.approx(8e9, rel=0.005)
    assert mixture.n_params_active == pytest.approx(1e9, rel=0.005)
    assert mixture.n_params - mixture.n_params_active == 34 * 60 * 3 * 1792 * 640


def test_the_small_mixture_is_as_active_as_the_small_dense_model() -> None:
    """Beside its routers: 4 layers of 8 experts at width 64."""
    mixture, dense = shape("0.5M-A0.2M", 258), shape("0.2M", 258)
    assert mixture.n_params_active - 4 * 8 * 64 == dense.n_params == dense.n_params_active
    assert mixture.n_params == pytest.approx(0.48e6, rel=0.01)


@pytest.mark.parametrize("name", ["0.2M", "1B", "8B"])
def test_in_a_dense_model_all_parameters_are_active(name: str) -> None:
    dense = shape(name, 258)
    assert dense.n_params_active == dense.n_params
    assert dense.n_params_active_non_embedding == dense.n_params_non_embedding


@pytest.mark.parametrize(("n", "padded"), [(258, 264), (50_258, 50_304), (50_278, 50_304), (8, 8)])
def test_published_vocabularies_are_padded_as_published(n: int, padded: int) -> None:
    assert padded_vocab(n) == padded


@given(st.integers(1, 300_000))
def test_padding_holds_the_vocabulary_and_wastes_less_than_a_block(n: int) -> None:
    assert 0 <= padded_vocab(n) - n < (64 if n >= 1000 else 8)


@pytest.mark.parametrize("name", ["0.2M", "5M", "0.5M-A0.2M", "8B-A1B", "2B"])
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
