"""FLOPs by the paper's accounting."""

from dataclasses import replace

import pytest

from workbench.errors import InputError
from workbench.planning.flops import (
    ar_generation_flops,
    counts,
    diffusion_generation_flops,
    forward_flops_per_token,
    generation_rows,
    named_shape,
    train_flops_per_token,
    training_rows,
)
from workbench.recipe.sizes import ModelShape

SHAPE = ModelShape(layers=2, width=8, heads=2, ffn=64, vocab_size=16)


def test_a_forward_pass_counts_weights_output_and_attention() -> None:
    weights = 2 * SHAPE.n_params_non_embedding + 2 * 8 * 16
    assert forward_flops_per_token(SHAPE, 10, causal=False) == weights + 4 * 8 * 2 * 10
    assert forward_flops_per_token(SHAPE, 10, causal=True) == weights + 4 * 8 * 2 * 5


def test_training_is_three_forward_passes() -> None:
    once = forward_flops_per_token(SHAPE, 32, causal=True)
    assert train_flops_per_token(SHAPE, 32, causal=True) == pytest.approx(3 * once)


@pytest.mark.parametrize(("tokens", "ratio"), [(16, 16), (4096, 4700)])
def test_generation_costs_what_the_paper_says(tokens: int, ratio: float) -> None:
    """arXiv 2511.03276, Figure 12 (middle): the 1B model, as many steps as tokens."""
    (row,) = generation_rows(named_shape("1B", 50_258), [tokens], None)
    assert row["ratio"] == pytest.approx(ratio, rel=0.015)
    assert row["steps"] == tokens


def test_ar_steps_with_a_cache_cost_about_one_denoising_step() -> None:
    """Figure 12 (right): 512 AR steps are about one diffusion step of 512 tokens."""
    (row,) = generation_rows(named_shape("1B", 50_258), [512], [1])
    assert row["ratio"] == pytest.approx(1, abs=0.03)


def test_a_kv_cache_attends_to_what_came_before_alone() -> None:
    """Token by token: token i attends to i others at 4 d a layer each."""
    whole = sum(
        2 * SHAPE.n_params_non_embedding + 2 * 8 * 16 + 4 * 8 * 2 * (i + 0.5) for i in range(10)
    )
    assert ar_generation_flops(SHAPE, 10) == pytest.approx(whole)
    assert ar_generation_flops(SHAPE, 6, prompt=4) == pytest.approx(whole)


def test_denoising_grows_with_its_steps() -> None:
    one = diffusion_generation_flops(SHAPE, 10, 1)
    assert diffusion_generation_flops(SHAPE, 10, 7) == pytest.approx(7 * one)
    assert one == 10 * forward_flops_per_token(SHAPE, 10, causal=False)


def test_training_differs_by_what_attention_sees() -> None:
    ar, mdlm = training_rows(SHAPE, 32)
    assert mdlm["train_flops_per_token"] - ar["train_flops_per_token"] == 3 * 4 * 8 * 2 * 16


def test_a_mixture_counts_the_experts_that_a_token_uses() -> None:
    mixture = replace(SHAPE, ffn=32, experts=8, top_k=2)
    router = 2 * 8 * 8 * 2
    dense = forward_flops_per_token(SHAPE, 10, causal=True)
    assert forward_flops_per_token(mixture, 10, causal=True) == dense + router
    ar, _ = training_rows(mixture, 32)
    assert ar["n_params"] > ar["n_params_active"] == mixture.n_params_active
    assert ar["over_6N"] == ar["train_flops_per_token"] / (6 * mixture.n_params_active)


@pytest.mark.parametrize("text", ["", "a", "16,", "0", "-4", "1.5"])
def test_lengths_are_whole_numbers_above_zero(text: str) -> None:
    with pytest.raises(InputError, match="whole numbers"):
        counts("--generate", text)


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(InputError, match="did you mean '1B'"):
        named_shape("1b", 50_258)
