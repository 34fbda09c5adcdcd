"""FLOPs by the paper's accounting."""

import pytest

from workbench.flops import forward_flops_per_token, train_flops_per_token
from workbench.sizes import ModelShape

SHAPE = ModelShape(layers=2, width=8, heads=2, ffn=64, vocab_size=16)


def test_a_forward_pass_counts_weights_output_and_attention() -> None:
    weights = 2 * SHAPE.n_params_non_embedding + 2 * 8 * 16
    assert forward_flops_per_token(SHAPE, 10, causal=False) == weights + 4 * 8 * 2 * 10
    assert forward_flops_per_token(SHAPE, 10, causal=True) == weights + 4 * 8 * 2 * 5


def test_training_is_three_forward_passes() -> None:
    once = forward_flops_per_token(SHAPE, 32, causal=True)
    assert train_flops_per_token(SHAPE, 32, causal=True) == pytest.approx(3 * once)
