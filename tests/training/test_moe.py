"""Mixtures of experts: routing, losses, counts."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests.fake_cuda import CUDA, moves, on_gpu
from tests.running.test_worker import make_run, values
from workbench.recipe import ModelConfig
from workbench.recipe.models import resolved_model
from workbench.running import worker
from workbench.training.model import RouterWeights, initialise, model_config
from workbench.training.moe import Router, Routers, RouterState

CONFIG = resolved_model(
    ModelConfig(width=32, layers=2, heads=2, ffn=16, vocab_size=64, moe_experts=4, moe_top_k=2)
)
MIXTURE = ["model.moe_experts=4", "model.moe_top_k=2", "model.ffn=32"]


NO_LOSSES = RouterWeights()


def build(weights: RouterWeights = NO_LOSSES, **changes: int) -> torch.nn.Module:
    config = CONFIG.model_copy(update=changes)
    model = model_config(config, seq_len=16, causal=True, router=weights).build()
    model.init_states()
    initialise(model, seed=0, std=0.2)
    return model


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_a_token_gets_the_weighted_sum_of_its_experts(top_k: int) -> None:
    moe = build(moe_top_k=top_k).layers["0"].moe  # type: ignore[index, union-attr]
    x_BLD = torch.randn(2, 5, 32)
    experts = moe.routed_experts.inner_experts
    p_BLE = F.softmax(x_BLD @ moe.router.gate.weight.T, dim=-1)
    best = p_BLE.topk(top_k, dim=-1)
    weights_BLK = best.values / best.values.sum(-1, keepdim=True) if top_k > 1 else best.values
    expected = torch.zeros_like(x_BLD)
    for b in range(2):
        for t in range(5):
            for e, w in zip(best.indices[b, t], weights_BLK[b, t], strict=True):
                x = x_BLD[b, t]
                hidden = F.silu(experts.w1_EFD[e] @ x) * (experts.w3_EFD[e] @ x)
                expected[b, t] += w * (experts.w2_EDF[e] @ hidden)
    torch.testing.assert_close(moe(x_BLD), expected)


def test_on_a_gpu_a_router_waits_for_nothing_from_the_host() -> None:
    with moves() as seen:
        model = on_gpu(build(RouterWeights(aux=0.3, z=0.2), layers=1))
        routers = Routers(model, None)
        x_BLD, tokens = torch.randn(2, 5, 32, device=CUDA), torch.full((), 10, device=CUDA)
        seen.clear()
        routers.before_pass(tokens)
        routers.routers[0](x_BLD)
        routers.after_pass()
        assert routers.sums is not None
        assert seen == []


def routing(model: torch.nn.Module, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the first router, and what it chose, [T, E] and [T, K]."""
    seen: dict[str, torch.Tensor] = {}
    router = model.layers["0"].moe.router  # type: ignore[index, union-attr]
    hook = router.register_forward_hook(lambda m, x, out: seen.update(x=x[0], ids=out[1]))
    model(tokens)
    hook.remove()
    return (seen["x"] @ router.gate.weight.T).flatten(0, 1), seen["ids"].flatten(0, 1)


def test_the_losses_reach_the_router_as_if_they_had_been_added_to_the_loss() -> None:
    weights = RouterWeights(aux=0.3, z=0.2)
    with_losses, without = build(weights, layers=1), build(layers=1)
    tokens = torch.randint(0, 64, (4, 16))
    routers = Routers(with_losses, None)
    routers.before_pass(torch.tensor(64))
    out = with_losses(tokens)
    assert torch.equal(out, without(tokens)), "the forward pass is left as it is"
    out.square().mean().backward()

    logits_TE, ids_TK = routing(without, tokens)
    share_E = torch.bincount(ids_TK.flatten(), minlength=4) / ids_TK.numel()
    balance = 4 * (share_E * F.softmax(logits_TE, -1).mean(0)).sum()
    z = logits_TE.logsumexp(-1).square().mean()
    (without(tokens).square().mean() + 0.3 * balance + 0.2 * z).backward()
    for name, parameter in with_losses.named_parameters():
        torch.testing.assert_close(
            parameter.grad,
            without.get_parameter(name).grad,
            msg=lambda m, n=name: f"{n}: {m}",  # type: ignore[misc]
        )
    routers.after_pass()
    state = routers.end_step(measure=True)
    assert state is not None
    assert state.balance == pytest.approx(balance.item(), rel=1e-5)
    assert state.z == pytest.approx(z.item(), rel=1e-5)
    assert state.max_load == pytest.approx(4 * share_E.max().item())


def test_evaluation_adds_no_loss() -> None:
    model = build(RouterWeights(aux=1.0, z=1.0))
    Routers(model, None).before_pass(torch.tensor(32))
    model.eval()
    tokens = torch.randint(0, 64, (2, 16))
    model(tokens)
    assert all(m.sums is None for m in model.modules() if isinstance(m, Router))


def test_even_routers_are_balanced_and_uncertain_and_a_stuck_one_is_neither() -> None:
    even = torch.tensor([[8.0, 8, 8, 8, 4, 4, 4, 4, 16 * 1.386294, 0, 16]])
    state = RouterState.of(even)
    assert (state.balance, state.max_load) == (pytest.approx(1), 1)
    assert state.entropy == pytest.approx(1.386294)
    stuck = RouterState.of(torch.tensor([[32.0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 16]]))
    assert (stuck.balance, stuck.max_load, stuck.entropy) == (4, 4, 0)


@pytest.mark.training
def test_a_mixture_trains_records_its_routers_and_adds_up_over_micro_batches(
    tmp_path: Path, corpus: Path
) -> None:
    run = make_run(tmp_path, corpus, *MIXTURE)
    strong = make_run(tmp_path, corpus, *MIXTURE, "training.moe_aux_weight=3.0")
    again = make_run(tmp_path, corpus, *MIXTURE, "training.activation_checkpointing=true")
    parts = make_run(
        tmp_path, corpus, *MIXTURE, "training.micro_batch_size=4", "training.moe_aux_weight=0.0"
    )
    whole = make_run(tmp_path, corpus, *MIXTURE, "training.moe_aux_weight=0.0")
    for each in (run, strong, again, parts, whole):
        assert worker.main(each.path) == worker.FINISHED
    loss = values(run, "train_loss")
    assert loss[12] < loss[1] - 0.3
    assert 1 <= values(run, "moe_balance")[12] < 4
    assert 1 <= values(run, "moe_max_load")[12] <= 4
    assert 0 < values(run, "moe_entropy")[12] < 1.3863
    assert values(run, "moe_z").keys() == loss.keys()
    assert loss == values(again, "train_loss")
    assert values(strong, "moe_balance")[12] < values(run, "moe_balance")[12]
    expected, added_up = values(whole, "train_loss"), values(parts, "train_loss")
    assert max(abs(expected[step] - added_up[step]) for step in expected) < 1e-4
