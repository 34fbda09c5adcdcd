"""Looped depth: the network of as many layers with equal weights, and its cost and its cache."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.recipe.test_check_objective import load
from tests.running.test_worker import make_run, values
from workbench.errors import InputError
from workbench.generation.incremental import CachedDecoder, GroupDecoder
from workbench.planning.flops import train_flops_per_data_token
from workbench.planning.memory import memory_per_gpu
from workbench.planning.plan import run_id_of
from workbench.recipe import ModelConfig
from workbench.recipe.models import resolved_model
from workbench.running import worker
from workbench.training.dropout import DropoutKeys
from workbench.training.model import initialise, model_config

LENGTH, VOCAB = 12, 40
TOKENS = torch.randint(0, VOCAB, (3, LENGTH), generator=torch.Generator().manual_seed(0))


def build(layers: int, loops: int | None = None, *, dropout: float | None = None) -> nn.Module:
    config = resolved_model(
        ModelConfig(
            width=32, layers=layers, heads=2, vocab_size=VOCAB, loops=loops, dropout=dropout
        )
    )
    model = model_config(config, seq_len=LENGTH, causal=True).build()
    model.init_states()
    initialise(model, seed=0, std=0.1)
    return model


def unrolled(looped: nn.Module, loops: int, *, dropout: float | None = None) -> nn.Module:
    """A network of as many layers, each loop's with weights of the looped ones."""
    layers = len(looped.layers)  # type: ignore[arg-type]
    deep = build(layers * loops, dropout=dropout)
    state = looped.state_dict()
    for name in deep.state_dict():
        if name.startswith("layers."):
            _, number, rest = name.split(".", 2)
            state[name] = state[f"layers.{int(number) % layers}.{rest}"]
    deep.load_state_dict(state)
    return deep


@pytest.mark.parametrize("dropout", [None, 0.3])
def test_loops_are_a_deeper_network_of_equal_weights(dropout: float | None) -> None:
    """Logits to the bit, dropout's masks included; a gradient is the sum over the loops."""
    looped = build(2, 3, dropout=dropout)
    deep = unrolled(looped, 3, dropout=dropout)
    names = dict(looped.named_parameters())
    assert names.keys() == dict(build(2).named_parameters()).keys()
    for model in (looped, deep):
        DropoutKeys(model, seed=1, tensor_rank=0, tensor_ranks=1).update(
            4, torch.arange(len(TOKENS)), TOKENS
        )
    logits = [model(TOKENS) for model in (looped, deep)]
    assert torch.equal(*logits)
    for one in logits:
        one.square().mean().backward()
    theirs = dict(deep.named_parameters())
    for name, parameter in names.items():
        copies = [name]
        if name.startswith("layers."):
            _, number, rest = name.split(".", 2)
            copies = [f"layers.{int(number) + 2 * loop}.{rest}" for loop in range(3)]
        summed = sum(theirs[copy].grad for copy in copies)
        torch.testing.assert_close(parameter.grad, summed)
    assert not torch.equal(logits[0], build(2, dropout=dropout).eval()(TOKENS))


def test_a_cache_gives_the_logits_of_the_whole_pass() -> None:
    model = build(2, 3).eval().requires_grad_(False)
    decoder = CachedDecoder(model, batch=3, length=LENGTH)
    parts = [decoder.extend_all(piece) for piece in TOKENS.split([5, 1, 4, 2], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(TOKENS), atol=1e-4, rtol=0)
    grouped = GroupDecoder(model, batch=3, length=LENGTH, group=1)
    assert grouped.predict(TOKENS[:, :1], torch.zeros(1, 1, dtype=torch.int64)).shape[0] == 3


def test_one_loop_is_the_run_it_was_and_more_are_others(tmp_path: Path) -> None:
    keys = [(), ("model.loops=1",), ("model.loops=2",)]
    ids = [run_id_of(load(tmp_path, *one)[0], "golden") for one in keys]
    assert ids[0] == ids[1] != ids[2]


def test_parameters_count_once_flops_and_activations_every_loop(tmp_path: Path) -> None:
    """As those of a network of as many layers, but for its parameters."""
    once, looped, deep = (
        load(tmp_path, "model.vocab_size=264", f"model.layers={layers}", *loops)[0]
        for layers, loops in ((2, ()), (2, ("model.loops=3",)), (6, ()))
    )
    assert looped.model.shape.n_params == once.model.shape.n_params
    assert train_flops_per_data_token(looped) == train_flops_per_data_token(deep)
    memory, of_deep, of_once = (memory_per_gpu(run) for run in (looped, deep, once))
    assert memory.parameters == of_once.parameters
    assert memory.activations == of_deep.activations == 3 * of_once.activations


def test_routers_are_refused(tmp_path: Path) -> None:
    keys = "model.loops=2", "model.moe_experts=4"
    with pytest.raises(InputError, match=r"model\.loops = 2 does not go with model\.moe_experts"):
        load(tmp_path, *keys)


@pytest.mark.training
def test_a_run_trains_with_layers_computed_again_as_without(tmp_path: Path, corpus: Path) -> None:
    keys = "model.loops=2", "model.dropout=0.1"
    for name in ("plain", "again"):
        (tmp_path / name).mkdir()
    plain = make_run(tmp_path / "plain", corpus, *keys)
    again = make_run(tmp_path / "again", corpus, *keys, "training.activation_checkpointing=true")
    for run in (plain, again):
        assert worker.main(run.path) == worker.FINISHED
    assert values(plain, "val_loss") == values(again, "val_loss")
