"""What a recipe's keys become: kernels by device, recomputation, CUDA graphs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.running.test_worker import make_run
from workbench.data import PreparedData
from workbench.recipe import run_config
from workbench.running import worker
from workbench.runs.folder import RunFolder
from workbench.runs.started_as import StartedAs
from workbench.store.read_records import read_records
from workbench.training.config import trainer_config
from workbench.training.trainer import StudyTrainer

pytestmark = pytest.mark.training


def configured(
    run: RunFolder, device: str, dtype: str, *, compiled: bool = False
) -> StudyTrainer.Config:
    document = run.config_json()
    start = StartedAs(device, dtype, compiled)
    prepared = PreparedData.open(run.results / document["data"]["folder"])
    return trainer_config(run_config(document), prepared, run.path, start)


@pytest.mark.parametrize(
    ("device", "key", "chunked"),
    [
        ("cpu", None, False),
        ("cuda", None, True),
        ("cpu", "fused", True),
        ("cuda", "plain", False),
    ],
)
def test_kernels_are_fused_on_a_gpu_and_by_the_key(
    device: str, key: str | None, chunked: bool, tmp_path: Path, corpus: Path
) -> None:
    keys = [] if key is None else [f"training.kernels={key}"]
    config = configured(make_run(tmp_path, corpus, *keys), device, "bfloat16")
    assert config.loss.chunked == chunked
    assert config.model_spec is not None
    keywords = config.model_spec.parallelize_fn.keywords
    assert keywords["shard_one_rank"] != chunked
    assert not keywords["products_together"]


def test_products_go_together_where_they_are_compiled(tmp_path: Path, corpus: Path) -> None:
    config = configured(make_run(tmp_path, corpus), "cuda", "bfloat16", compiled=True)
    assert config.model_spec is not None
    assert config.model_spec.parallelize_fn.keywords["products_together"]


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)
        return func(*args, **kwargs or {})


def trained(run: RunFolder) -> tuple[list[tuple[Any, ...]], int]:
    """Every record, but for speed, and how many products the run took."""
    with Products() as products:
        assert worker.main(run.path) == worker.FINISHED
    frame = read_records(run.records_path).frame
    frame = frame.filter(frame["metric"] != "tokens_per_second").drop("tokens", "epoch", "flops")
    return sorted(frame.rows(), key=str), products.count


@pytest.mark.parametrize("more", [[], ["model.moe_experts=4"], ["model.dropout=0.1"]], ids=str)
def test_what_is_computed_again_changes_no_number(
    more: list[str], tmp_path: Path, corpus: Path
) -> None:
    asked = "training.activation_checkpointing"
    (kept, kept_products), (full, full_products), (some, some_products) = (
        trained(make_run(made(tmp_path / value), corpus, *more, f"{asked}={value}"))
        for value in ("false", "true", "selective")  # one run by its id: in folders of their own
    )
    assert kept == full == some
    assert kept_products < some_products < full_products


def test_asking_for_cuda_graphs_changes_nothing_where_there_is_no_gpu(
    tmp_path: Path, corpus: Path
) -> None:
    fused = make_run(tmp_path, corpus, "training.kernels=fused")
    graphs = make_run(tmp_path, corpus, "training.kernels=fused", "training.cuda_graphs=true")
    assert fused.path != graphs.path
    assert trained(fused)[0] == trained(graphs)[0]
