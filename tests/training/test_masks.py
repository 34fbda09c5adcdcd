"""Masks of an objective's own: which inputs see which, in which type, through which kernel."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import flex_attention
from torchtitan.models.common.attention import FlexAttention

from tests.fake_cuda import CUDA, moves
from tests.training.toy import EVERY_SEQUENCE, VOCAB, L, V, network, nll
from workbench.training.masks import (
    MaskForm,
    additive,
    block_sparse,
    dense,
    form_for,
    mask_form,
    sparse_attention,
)
from workbench.training.model import Attention
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.base import TokenBatch, View, WindowNoise
from workbench.training.objectives.block import block_view
from workbench.training.to_device import to_device

CPU = torch.device("cpu")
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
BACKENDS = {
    "cpu": [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION],
    "cuda": [SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION],
}
LENGTH = 24
PRECISION = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def of_block(device: torch.device) -> View:
    return block_view(LENGTH, 4, device)


def of_orders(device: torch.device) -> View:
    rank_BL = torch.rand(2, LENGTH, generator=torch.Generator().manual_seed(0)).argsort(dim=1)
    view = AnyOrder(VOCAB, seed=0).in_order(torch.zeros_like(rank_BL), rank_BL).view
    assert view is not None
    return View(view.positions_BT.to(device), view.visible_BTT.to(device))


def queries_keys_values(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """[2, 2L, 3 heads, 16] each."""
    generator = torch.Generator().manual_seed(1)
    made = torch.randn(3, 2, 2 * LENGTH, 3, 16, generator=generator).to(device, dtype)
    return made[0], made[1], made[2]


def plain_attention(q: Tensor, k: Tensor, v: Tensor, visible_BTT: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V over what is seen, in float64."""
    q, k, v = (every.double() for every in (q, k, v))
    scores_BNTT = torch.einsum("binh,bjnh->bnij", q, k) / math.sqrt(q.shape[-1])
    weights_BNTT = scores_BNTT.exp() * visible_BTT[:, None]
    weights_BNTT = weights_BNTT / weights_BNTT.sum(dim=-1, keepdim=True)
    return torch.einsum("bnij,bjnh->binh", weights_BNTT, v)


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("of", [of_block, of_orders])
@pytest.mark.parametrize(
    ("device", "backend"), [(device, one) for device in DEVICES for one in BACKENDS[device]]
)
def test_attention_under_a_mask_is_plain_arithmetic_with_every_kernel_in_every_type(
    device: str, backend: SDPBackend, of: Callable[[torch.device], View], dtype: torch.dtype
) -> None:
    place = torch.device(device)
    view, (q, k, v) = of(place), queries_keys_values(place, dtype)
    mask = view.network_arguments(MaskForm(dtype))["attention_masks"]
    assert mask.dtype == q.dtype
    with sdpa_kernel(backend):
        out = Attention(Attention.Config(is_causal=False))(q, k, v, attention_masks=mask)
    expected = plain_attention(q, k, v, view.visible_BTT)
    assert out.dtype == dtype
    assert (out.double() - expected).abs().max() < PRECISION[dtype]


@pytest.mark.parametrize("size", [1, 4, 24])
def test_a_rule_says_what_its_view_shows_and_block_diffusion_means(size: int) -> None:
    view = block_view(LENGTH, size, CPU)
    assert view.rule is not None
    tiles = block_sparse(view.rule, 2 * LENGTH, CPU)
    for i in range(2 * LENGTH):
        for j in range(2 * LENGTH):
            block_i, block_j = i % LENGTH // size, j % LENGTH // size
            if i < LENGTH and j < LENGTH:
                seen = block_i == block_j
            elif i < LENGTH:
                seen = block_j < block_i
            else:
                seen = j >= LENGTH and block_j <= block_i
            assert view.visible_BTT[0, i, j] == seen
            assert tiles.mask_mod(*map(torch.tensor, (0, 0, i, j))) == seen


def test_tiles_are_left_out_in_which_nothing_is_seen() -> None:
    view = block_view(1024, 32, CPU)
    assert view.rule is not None
    assert torch.equal(dense(view.rule, 2048, CPU), view.visible_BTT)
    tiles = block_sparse(view.rule, 2048, CPU)
    assert block_sparse(view.rule, 2048, CPU) is tiles, "made once a run"
    seen = view.visible_BTT[0].view(16, 128, 16, 128).transpose(1, 2).flatten(2).any(dim=2)
    assert torch.equal(tiles.to_dense()[0, 0].bool(), seen)
    # The diagonal of noisy to noisy; that and below of noisy to clean and of clean to clean.
    assert seen.sum() == 8 + 36 + 36


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("size", [1, 4, 24])
def test_flex_attention_under_a_rule_gives_the_numbers_of_the_dense_mask(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch._dynamo.reset()  # eager FlexAttention is traced: earlier tests use up its recompilations
    view = block_view(LENGTH, size, CPU)
    monkeypatch.setattr(FlexAttention, "_compiled_flex_attn", flex_attention)
    q, k, v = queries_keys_values(CPU, torch.float32)
    mask = view.network_arguments(MaskForm(sparse=True))["attention_masks"]
    attention = Attention(Attention.Config(is_causal=True))
    out = attention(q, k, v, attention_masks=mask, scale=16**-0.5)
    assert torch.equal(out, sparse_attention(q, k, v, mask, 16**-0.5))
    expected = plain_attention(q, k, v, view.visible_BTT)
    assert (out.double() - expected).abs().max() < PRECISION[torch.float32]


def test_sequences_in_the_order_of_their_ranks_have_the_same_losses() -> None:
    model, objective = network(doubled=True), AnyOrder(VOCAB, seed=0)
    generator = torch.Generator().manual_seed(0)
    rank_BL = torch.rand(V**L, L, generator=generator).argsort(dim=1)
    in_text = nll(model, objective.in_order(EVERY_SEQUENCE, rank_BL))
    by_rank = nll(model, objective.sorted_by_rank(EVERY_SEQUENCE, rank_BL))
    expected = in_text.gather(1, rank_BL.argsort(dim=1))
    torch.testing.assert_close(by_rank, expected, rtol=1e-5, atol=1e-5)


def test_on_a_gpu_all_orders_share_one_mask_made_without_the_host() -> None:
    objective, key_B = AnyOrder(VOCAB, seed=0), torch.arange(5)
    with moves() as seen:
        key_B = to_device(key_B, CUDA)
        tokens_BL = torch.zeros(5, L, dtype=torch.int64, device=CUDA)
        seen.clear()
        step = TokenBatch(tokens_BL, key_B, key_B, key_B, 1, key_B, key_B)
        for corrupted in (
            objective.corrupt(step),
            objective.validation_inputs(tokens_BL, WindowNoise(key_B, 5)),
            objective.answer_inputs(tokens_BL, 1, key_B, 0, 1),
        ):
            view = corrupted.view
            assert view is not None
            assert view.rule is not None
            assert view.visible_BTT.shape == (1, 2 * L, 2 * L)
            assert view.positions_BT.shape == (5, 2 * L)
        assert seen == []


def test_an_answer_is_as_likely_with_its_sequence_in_the_order_of_its_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, objective = network(doubled=True), AnyOrder(VOCAB, seed=0)
    asked = (EVERY_SEQUENCE, 1, torch.arange(V**L), 0, 1)
    in_text = nll(model, objective.answer_inputs(*asked))
    monkeypatch.setattr(AnyOrder, "along", AnyOrder.sorted_by_rank)
    by_rank = nll(model, objective.answer_inputs(*asked))
    torch.testing.assert_close(by_rank.sum(dim=1), in_text.sum(dim=1), rtol=1e-5, atol=1e-5)


def test_a_mask_has_the_type_that_its_network_computes_in() -> None:
    model = network(doubled=True)
    assert mask_form(model) == MaskForm(torch.float32)
    assert mask_form(model.bfloat16()) == MaskForm(torch.bfloat16)
    model.mask_form = MaskForm(torch.bfloat16, sparse=True)  # type: ignore[assignment]
    assert mask_form(model.float()).sparse
    mask = additive(torch.tensor([[[True, False]]]), torch.bfloat16)
    assert mask.tolist() == [[[[0.0, -math.inf]]]]
    assert mask.dtype == torch.bfloat16


def test_rules_are_for_gpus_with_a_compiler_and_heads_that_its_kernels_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuned = dict.fromkeys(("max_autotune", "coordinate_descent_tuning"), True)
    monkeypatch.setattr(FlexAttention, "inductor_configs", tuned)
    monkeypatch.setattr(FlexAttention, "_compiled_flex_attn", None)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert form_for(torch.bfloat16, device="cuda", head_dim=128) == MaskForm(torch.bfloat16, True)
    assert not any(tuned.values()), "what is fastest today would decide about bits"
    assert not form_for(torch.bfloat16, device="cpu", head_dim=128).sparse
    assert not form_for(torch.bfloat16, device="cuda", head_dim=24).sparse
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not form_for(torch.bfloat16, device="cuda", head_dim=128).sparse
