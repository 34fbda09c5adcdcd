"""muP: what a step changes in activations is the same at every width; coordinate checks."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.conftest import RECIPE
from workbench.errors import InputError
from workbench.recipe import RunConfig, load_recipe
from workbench.training import titan_patches

titan_patches.use_device("cpu")

from workbench.training.model import initialise  # noqa: E402
from workbench.training.optimizers import optimizers  # noqa: E402
from workbench.training.trained_model import build_model  # noqa: E402

WIDTHS, VOCABULARY, LENGTH, STEPS = (64, 128, 256, 512), 264, 16, 3
MUP = ("model.parametrization=mup", "model.base_width=64")


def config(tmp_path: Path, *keys: str) -> RunConfig:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(corpus="x.txt"))
    return load_recipe(path, ["training.objective=ar", "model.layers=1", *keys]).runs[0]


def changes(run: RunConfig) -> tuple[float, float]:
    """Root mean squares of what a few steps change in the residual stream and in the logits."""
    shape = run.model.model_copy(update={"vocab_size": VOCABULARY})
    model: Any = build_model(shape, seq_len=LENGTH, causal=True)
    initialise(model, seed=0, std=shape.init_std, width_ratio=shape.width_ratio)
    stream: list[torch.Tensor] = []
    model.norm.register_forward_pre_hook(lambda module, inputs: stream.append(inputs[0].detach()))
    made = optimizers(run).build(model_parts=[model])
    generator = torch.Generator().manual_seed(0)
    tokens_BL = torch.randint(0, 256, (8, LENGTH + 1), generator=generator)
    logits = []
    for step in range(STEPS + 1):
        out_BLV = model(tokens_BL[:, :-1])
        logits.append(out_BLV.detach())
        if step < STEPS:
            F.cross_entropy(out_BLV.flatten(0, 1), tokens_BL[:, 1:].flatten()).backward()
            made.step()
            made.zero_grad()
    return tuple(  # type: ignore[return-value]
        float((found[-1] - found[0]).square().mean().sqrt()) for found in (stream, logits)
    )


def slopes(tmp_path: Path, *keys: str) -> list[float]:
    """By which power of the width the changes grow: of the stream, and of the logits."""
    measured = []
    for width in WIDTHS:
        shape = (f"model.width={width}", f"model.heads={width // 32}")
        measured.append(changes(config(tmp_path, *shape, "training.lr=3e-3", *keys)))
    x = torch.tensor(WIDTHS, dtype=torch.float64).log()
    y = torch.tensor(measured, dtype=torch.float64).log()
    centred = x - x.mean()
    return [float(one) for one in (centred @ y) / centred.square().sum()]


@pytest.mark.parametrize(
    "keys",
    [
        (),
        pytest.param(("model.tied=false",), marks=pytest.mark.long),
        pytest.param(("training.optimizer=muon",), marks=pytest.mark.long),
        pytest.param(
            ("training.optimizer=muon", "training.muon_scaling=original", "training.lr=0.02"),
            marks=pytest.mark.long,
        ),
    ],
    ids=["adamw", "untied", "muon", "muon, original"],
)
def test_steps_change_activations_alike_at_every_width_under_mup(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    stream, logits = slopes(tmp_path, *keys, *MUP)
    assert abs(stream) < 0.25
    assert abs(logits) < 0.25


def test_in_the_standard_parametrization_they_grow_with_the_width(tmp_path: Path) -> None:
    stream, logits = slopes(tmp_path)
    assert stream > 0.3
    assert logits > 0.5


def test_at_the_base_width_mup_is_the_standard_parametrization(tmp_path: Path) -> None:
    standard, mup = config(tmp_path, "model.width=64"), config(tmp_path, "model.width=64", *MUP)
    assert optimizers(mup) == optimizers(standard)
    assert changes(mup) == changes(standard)


def test_initial_weights_and_rates_follow_the_width(tmp_path: Path) -> None:
    run = config(tmp_path, "model.width=256", *MUP)
    shape = run.model.model_copy(update={"vocab_size": VOCABULARY})
    model = build_model(shape, seq_len=LENGTH, causal=True)
    initialise(model, seed=0, std=0.02, width_ratio=shape.width_ratio)
    weights = dict(model.named_parameters())
    assert float(weights["layers.0.feed_forward.w2.weight"].detach().std()) == pytest.approx(
        0.01, rel=0.05
    )
    assert float(weights["tok_embeddings.weight"].detach().std()) == pytest.approx(0.02, rel=0.05)
    assert set(weights["norm.weight"].tolist()) == {0.25}
    found = {}
    for group in optimizers(run).build(model_parts=[model]).optimizers[0].param_groups:
        for name in group["param_names"]:
            found[name] = group["lr"], group["weight_decay"]
    assert found["layers.0.feed_forward.w2.weight"] == (3e-3 / 4, 0.4)
    assert found["norm.weight"] == (3e-3 / 4, 0.0)
    assert found["layers.0.ffn_norm.weight"] == (3e-3, 0.0)
    assert found["tok_embeddings.weight"] == (3e-3, 0.1)
    assert math.prod(found["layers.0.attention.wo.weight"]) == pytest.approx(3e-4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["model.parametrization=mup"], "needs model.base_width"),
        ([*MUP, "model.moe_experts=4"], "needs a dense model"),
    ],
)
def test_what_mup_cannot_be_is_refused(keys: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        config(tmp_path, *keys)
