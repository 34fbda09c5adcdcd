"""Layers that convert their weights, or take products together: the same numbers as apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.tensor import DTensor

from tests.running.test_worker import make_run
from workbench.recipe import ModelConfig
from workbench.recipe.models import resolved_model
from workbench.running import worker
from workbench.runs.folder import RunFolder
from workbench.store.read_records import read_records
from workbench.training.compute import compute_in, products_as_one
from workbench.training.loss import WeightedNLL
from workbench.training.model import initialise, model_config
from workbench.training.optimizers import Optimizers

TOKENS = torch.randint(0, 64, (2, 16), generator=torch.Generator().manual_seed(0))


def build(**keys: Any) -> nn.Module:
    config = resolved_model(ModelConfig(width=32, layers=2, heads=2, vocab_size=64, **keys))
    model = model_config(config, seq_len=16, causal=False).build()
    model.init_states()
    initialise(model, seed=0, std=0.1)
    return model


def outcome(model: nn.Module) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The logits, and the gradient of each parameter of a function of them."""
    logits = model(TOKENS)
    logits.float().square().mean().backward()
    return logits.detach(), {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("tied", [True, False])
def test_products_together_give_the_logits_and_gradients_of_products_apart(tied: bool) -> None:
    apart, together = build(tied=tied), build(tied=tied)
    products_as_one(together)
    assert {n: p.shape for n, p in apart.named_parameters()} == {
        n: p.shape for n, p in together.named_parameters()
    }, "one checkpoint, one export"
    expected, found = outcome(apart), outcome(together)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-6)
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-5, atol=1e-7)


def test_products_together_are_fewer() -> None:
    def products(model: nn.Module) -> int:
        with torch.profiler.profile() as profile:
            model(TOKENS)
        return sum(event.count for event in profile.key_averages() if event.key == "aten::linear")

    apart, together = build(), build()
    products_as_one(together)
    assert products(apart) == 2 * 7 + 1
    assert products(together) == 2 * 4 + 1


@pytest.mark.parametrize("keys", [{}, {"tied": False}, {"moe_experts": 4}], ids=str)
def test_weights_converted_where_used_are_weights_of_that_type(keys: dict[str, Any]) -> None:
    """In bfloat16, and yet each parameter and its gradient is float32."""
    rounded, converted = build(**keys), build(**keys)
    for parameter in rounded.parameters():  # and not the tables of the rotary embedding
        parameter.data = parameter.data.bfloat16()
    compute_in(converted, torch.bfloat16)
    expected, found = outcome(rounded), outcome(converted)
    assert found[0].dtype == torch.bfloat16
    assert torch.equal(found[0], expected[0])
    for name, gradient in found[1].items():
        assert gradient.dtype == torch.float32
        torch.testing.assert_close(
            gradient.bfloat16(), expected[1][name], rtol=0.02, atol=1e-5, msg=name
        )


def run_in_bfloat16(tmp_path: Path, corpus: Path, *keys: str) -> RunFolder:
    run = make_run(tmp_path, corpus, "training.dtype=bfloat16", *keys)
    assert worker.main(run.path) == worker.FINISHED
    return run


def numbers(run: RunFolder, metric: str) -> list[float]:
    frame = read_records(run.records_path).frame
    return frame.filter(metric=metric).sort("step")["value"].to_list()


@pytest.mark.training
@pytest.mark.parametrize(
    "keys",
    [["micro_batch_size=8"], ["objective=ar", "activation_checkpointing=true"]],
    ids=["mdlm", "ar"],
)
def test_one_rank_without_fsdp_trains_as_with_it(
    keys: list[str], tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits of every matrix's gradient, where the loss itself is made alike and no weight
    has two gradients (FSDP2 adds those in bfloat16). On a CPU, norms' are not rounded by FSDP2."""
    plain_init, plain_step = WeightedNLL.__init__, Optimizers.step
    steps: list[dict[str, torch.Tensor]] = []

    def whole(self: WeightedNLL, config: WeightedNLL.Config, **named: Any) -> None:
        plain_init(self, replace(config, chunked=False), **named)

    def watched(self: Optimizers) -> None:
        seen = {}
        for name, parameter in self.model_parts[0].named_parameters():
            gradient = parameter.grad
            assert gradient is not None
            assert gradient.dtype == torch.float32
            whole = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
            seen[name] = whole.clone()
        steps.append(seen)
        plain_step(self)

    monkeypatch.setattr(WeightedNLL, "__init__", whole)
    monkeypatch.setattr(Optimizers, "step", watched)
    keys = [f"training.{key}" for key in (*keys, "grad_clip=1000")] + ["model.tied=false"]
    fsdp = run_in_bfloat16(tmp_path, corpus, *keys, "training.kernels=plain")
    expected = steps.copy()
    steps.clear()
    without = run_in_bfloat16(tmp_path, corpus, *keys, "training.kernels=fused")
    for name, gradient in steps[0].items():
        if gradient.ndim == 1:
            torch.testing.assert_close(gradient, expected[0][name], rtol=0.01, atol=1e-5, msg=name)
        else:
            assert torch.equal(gradient, expected[0][name]), name
    for metric in ("train_loss", "val_loss", "grad_norm"):
        assert numbers(without, metric) == pytest.approx(numbers(fsdp, metric), rel=2e-3)


@pytest.mark.training
def test_checkpoints_are_those_of_fsdp_in_float32(tmp_path: Path, corpus: Path) -> None:
    """So that a run can go on at another number of ranks."""
    saved = []
    for kernels in ("plain", "fused"):
        run = run_in_bfloat16(tmp_path, corpus, f"training.kernels={kernels}")
        metadata = FileSystemReader(run.checkpoint_dir / "step-12").read_metadata()
        saved.append(
            {
                name: (entry.size, entry.properties.dtype)
                for name, entry in metadata.state_dict_metadata.items()
                if isinstance(entry, TensorStorageMetadata)
            }
        )
    assert saved[0] == saved[1]
    kinds = {dtype for name, (_, dtype) in saved[1].items() if "weight" in name}
    assert kinds == {torch.float32}
