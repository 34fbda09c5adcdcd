"""Training FLOPs count every pass that an objective makes, and what its masks let it see."""

from pathlib import Path

import pytest
import torch

from tests.recipe.test_check_objective import load
from tests.training.toy import VOCAB
from workbench.planning.flops import (
    newton_schulz_flops,
    train_flops_per_data_token,
    train_flops_per_token,
)
from workbench.planning.plan import plan_study
from workbench.recipe import RunConfig
from workbench.recipe.loading import load_recipe
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.block import block_view

LENGTH = 32


def flops(tmp_path: Path, *overrides: str, objective: str) -> float:
    (run,) = load(tmp_path, *overrides, "model.vocab_size=264", objective=objective)
    return train_flops_per_data_token(run)


def config(tmp_path: Path) -> RunConfig:
    return load(tmp_path, "model.vocab_size=264")[0]


def test_each_presentation_counts(tmp_path: Path) -> None:
    shape = config(tmp_path).model.shape
    causal = train_flops_per_token(shape, LENGTH, causal=True)
    both = train_flops_per_token(shape, LENGTH, causal=False)
    mask = "training.input_mask=0.3"
    assert flops(tmp_path, objective="ar") == causal
    assert flops(tmp_path, mask, objective="ar") == causal
    assert flops(tmp_path, mask, "training.noise_samples=3", objective="ar") == 3 * causal
    assert flops(tmp_path, mask, "training.mask_aux_weight=1", objective="ar") == 2 * causal
    twice = ["training.mask_aux_weight=1", "training.noise_samples=2"]
    assert flops(tmp_path, mask, *twice, objective="ar") == 3 * causal
    assert flops(tmp_path, objective="mdlm") == both
    assert flops(tmp_path, "training.noise_samples=4", objective="mdlm") == 4 * both
    one = flops(tmp_path, objective="aoar")
    assert flops(tmp_path, "training.noise_samples=4", objective="aoar") == 4 * one


def test_one_block_costs_mdlm_on_both_halves_with_one_output(tmp_path: Path) -> None:
    shape = config(tmp_path).model.shape
    both = train_flops_per_token(shape, LENGTH, causal=False)
    head = 3 * 2 * shape.width * shape.vocab_size
    found = flops(tmp_path, f"training.block_size={LENGTH}", objective="block")
    assert found == pytest.approx(2 * both - head)


@pytest.mark.parametrize("size", [1, 4, 32])
def test_attention_is_counted_as_the_masks_have_it(size: int, tmp_path: Path) -> None:
    """Differences in block size are differences in what the 2L inputs attend to."""
    shape = config(tmp_path).model.shape
    seen = block_view(LENGTH, size, torch.device("cpu")).visible_BTT.sum().item()
    whole = block_view(LENGTH, LENGTH, torch.device("cpu")).visible_BTT.sum().item()
    found, widest = (
        flops(tmp_path, f"training.block_size={s}", objective="block") for s in (size, LENGTH)
    )
    attention = 3 * 4 * shape.width * shape.layers
    assert widest - found == pytest.approx(attention * (whole - seen) / LENGTH)


def test_any_order_attends_as_blocks_of_one_but_for_the_papers_rounding(tmp_path: Path) -> None:
    """Causal attention is counted as L/2, not (L + 1) / 2, as for AR."""
    ranks = torch.arange(LENGTH)[None]
    view = AnyOrder(VOCAB, seed=0).in_order(torch.zeros_like(ranks), ranks).view
    assert view is not None
    assert view.visible_BTT.sum().item() == LENGTH * (LENGTH + 1)
    shape = config(tmp_path).model.shape
    one = flops(tmp_path, "training.block_size=1", objective="block")
    half = 3 * 2 * 4 * shape.width * shape.layers * 0.5
    assert one - flops(tmp_path, objective="aoar") == pytest.approx(half)


def test_a_plan_adds_them_up(recipe: Path, tmp_path: Path) -> None:
    keys = ["training.objective=mdlm"]
    (once,) = plan_study(load_recipe(recipe, keys), tmp_path).runs
    (thrice,) = plan_study(load_recipe(recipe, [*keys, "training.noise_samples=3"]), tmp_path).runs
    assert thrice.train_flops == pytest.approx(3 * once.train_flops)
    assert thrice.total_tokens == once.total_tokens


def test_muon_counts_the_products_of_newton_schulz_as_torch_does(tmp_path: Path) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    keys = ["training.optimizer=muon", "model.ffn=96"]
    run = load(tmp_path, *keys, "model.vocab_size=264")[0]
    shape = run.model.shape
    square, wide, tall = ((shape.width,) * 2, (shape.width, shape.ffn), (shape.ffn, shape.width))
    sizes = shape.layers * [*4 * [square], wide, *2 * [tall]]
    weights = [torch.nn.Parameter(torch.randn(size)) for size in sizes]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    with FlopCounterMode(display=False) as counter:
        torch.optim.Muon(weights).step()
    assert newton_schulz_flops(shape) == counter.get_total_flops()
    once = flops(tmp_path, *keys, objective="ar") - flops(tmp_path, keys[1], objective="ar")
    assert once * run.tokens_per_step == pytest.approx(counter.get_total_flops())
