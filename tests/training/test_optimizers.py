"""Which parameters are optimised how, and Muon of sharded matrices against Muon of whole ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from tests.conftest import RECIPE
from tests.running.test_worker import make_run, values
from tests.training.stopping import records, whole_and_resumed
from workbench.errors import InputError
from workbench.recipe import RunConfig, load_recipe
from workbench.recipe.models import ModelConfig
from workbench.running import worker
from workbench.training import titan_patches
from workbench.training.optimizers import Optimizers, optimizers

titan_patches.use_device("cpu")

from workbench.training.trained_model import build_model  # noqa: E402


def config(tmp_path: Path, *keys: str) -> RunConfig:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(corpus="x.txt"))
    return load_recipe(path, ["training.objective=ar", *keys]).runs[0]


def groups(run: RunConfig) -> dict[str, tuple[str, float, float]]:
    """(optimizer, rate, weight decay) of each parameter."""
    shape = run.model.model_copy(update={"vocab_size": 264})
    model = build_model(shape, seq_len=8, causal=True)
    container = optimizers(run).build(model_parts=[model])
    return {
        name: (type(optimizer).__name__, group["lr"], group["weight_decay"])
        for optimizer in container
        for group in optimizer.param_groups
        for name in group["param_names"]
    }


def test_muon_takes_the_layers_matrices_and_adamw_the_rest(tmp_path: Path) -> None:
    keys = ("training.optimizer=muon", "training.hidden_lr=0.02", "model.tied=false")
    found = groups(config(tmp_path, *keys, "training.head_lr=0.001"))
    by_muon = {name for name, (optimizer, *_) in found.items() if optimizer == "Muon"}
    matrices = ("wq", "wk", "wv", "wo", "w1", "w2", "w3")
    assert {name.split(".")[-2] for name in by_muon} == set(matrices)
    assert len(by_muon) == 2 * len(matrices)
    assert {found[name][1:] for name in by_muon} == {(0.02, 0.1)}
    assert found["tok_embeddings.weight"] == ("AdamW", 3e-3, 0.1)
    assert found["lm_head.weight"] == ("AdamW", 1e-3, 0.1)
    assert {found[name] for name in found if "norm" in name} == {("AdamW", 3e-3, 0.0)}


def test_keys_of_another_optimizer_or_parametrization_make_no_other_run(tmp_path: Path) -> None:
    keys = ("training.muon_momentum=0.9", "training.muon_scaling=original", "model.base_width=8")
    assert config(tmp_path, *keys) == config(tmp_path)
    muon = config(tmp_path, *keys, "training.optimizer=muon")
    assert (muon.training.muon_momentum, muon.training.muon_scaling) == (0.9, "original")


@pytest.mark.parametrize("keys", [(), ("training.optimizer=adamw",)])
def test_without_keys_there_are_two_groups_of_adamw(keys: tuple[str, ...], tmp_path: Path) -> None:
    made = optimizers(config(tmp_path, *keys)).param_groups
    assert [(one.optimizer_name, one.optimizer_kwargs["weight_decay"]) for one in made] == [
        ("AdamW", 0.0),
        ("AdamW", 0.1),
    ]


def test_rates_of_groups_go_with_adamw_too(tmp_path: Path) -> None:
    found = groups(config(tmp_path, "training.hidden_lr=0.01", "training.embedding_lr=0.1"))
    assert {optimizer for optimizer, *_ in found.values()} == {"AdamW"}
    assert found["tok_embeddings.weight"][1] == 0.1
    assert found["layers.1.feed_forward.w2.weight"][1] == 0.01
    assert found["layers.1.ffn_norm.weight"][1] == 3e-3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["training.optimizer=muon", "model.moe_experts=4"], "needs a dense model"),
        (["training.optimizer=muon", "parallelism.tensor=2"], "parallelism.tensor = 2"),
        (["training.head_lr=0.1"], "the output layer is the embedding's matrix"),
        (["training.min_lr_ratio=0"], "never gets there"),
        (["training.optimizer=mon"], "'adamw' or 'muon'"),
    ],
)
def test_what_cannot_be_optimised_so_is_refused(
    keys: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        config(tmp_path, *keys)


@pytest.mark.parametrize("scaling", ["match_rms_adamw", "original"])
def test_a_step_of_muon_is_a_semi_orthogonal_matrix_times_its_scale(
    scaling: str, tmp_path: Path
) -> None:
    """Singular values of what Newton-Schulz leaves lie in 0.5 to 1.5, roughly."""
    keys = ("training.optimizer=muon", "training.weight_decay=0.0")
    run = config(tmp_path, *keys, f"training.muon_scaling={scaling}")
    shape: ModelConfig = run.model.model_copy(update={"vocab_size": 264})
    model = build_model(shape, seq_len=8, causal=True)
    container = optimizers(run).build(model_parts=[model])
    name = "layers.0.feed_forward.w1.weight"
    weight = dict(model.named_parameters())[name]
    before = weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    container.step()
    rows, columns = weight.shape
    scale = {"match_rms_adamw": 0.2 * rows**0.5, "original": (rows / columns) ** 0.5}[scaling]
    singular = torch.linalg.svdvals((before - weight.detach()) / (3e-3 * scale))
    assert 0.4 < singular.min() < singular.max() < 1.4


@pytest.mark.training
def test_a_run_of_muon_resumes_bit_for_bit(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ("training.optimizer=muon", "training.hidden_lr=0.02", "training.decay=1-sqrt")
    muon, stopped = whole_and_resumed(tmp_path, corpus, monkeypatch, *keys)
    assert records(stopped) == records(muon)
    plain = make_run(tmp_path, corpus)
    assert worker.main(plain.path) == worker.FINISHED
    assert values(muon, "train_loss")[1] == values(plain, "train_loss")[1]
    assert values(muon, "train_loss")[12] < values(plain, "train_loss")[12]
    assert max(values(muon, "lr").values()) == 3e-3, "that of the norms, as without other rates"


MATRICES = {
    f"layers.{layer}.{name}.weight": shape
    for layer in range(2)
    # Rows that two ranks cannot share evenly, and fewer rows than columns.
    for name, shape in (("wq", (33, 32)), ("w1", (64, 32)), ("w2", (32, 64)), ("one", (1, 8)))
}


def steps_of_both(rank: int, meeting: str, failed: Any) -> None:
    """Take equal gradients with whole and with sharded matrices, on one of two ranks."""
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("fsdp",))
    generator = torch.Generator().manual_seed(0)
    whole, sharded = nn.ParameterDict(), nn.ParameterDict()
    for name, shape in MATRICES.items():
        value = torch.randn(shape, generator=generator)
        key = name.replace(".", "/")
        whole[key] = nn.Parameter(value)
        sharded[key] = nn.Parameter(distribute_tensor(value, mesh, [Shard(0)]))
    made = []
    for parameters in (whole, sharded):
        group = {
            "params": list(parameters.values()),
            "param_names": list(MATRICES),
            "lr": 0.02,
            "weight_decay": 0.1,
            "adjust_lr_fn": "original",
        }
        made.append(Optimizers._resolve_optimizer_factory("Muon")([group]))
    assert [type(one).__name__ for one in made] == ["Muon", "DistMuon"]
    for _ in range(3):
        for key, parameter in whole.items():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            sharded[key].grad = distribute_tensor(parameter.grad.clone(), mesh, [Shard(0)])
        for optimizer in made:
            optimizer.step()
    for key, parameter in whole.items():
        if not torch.equal(parameter, sharded[key].full_tensor()):
            failed.put(key)
    dist.destroy_process_group()


@pytest.mark.long
def test_distmuon_over_two_ranks_of_gloo_steps_as_torchs_muon_to_the_bit(tmp_path: Path) -> None:
    failed = torch.multiprocessing.get_context("spawn").SimpleQueue()
    torch.multiprocessing.spawn(steps_of_both, (f"file://{tmp_path}/meeting", failed), nprocs=2)
    assert failed.empty(), failed.get()
