"""Building and sharding a run's model without its data, its memory or its GPUs.

Parameters live on the meta device, which has shapes and no numbers, and the ranks are those of
torch's `fake` process group (`torch.testing._internal.distributed.fake_pg`): one process that
believes it is rank 0 of many, whose collectives return at once. Everything else is what a worker
does: titan's model, its sharding over FSDP2 and tensor parallelism, its optimizer.
"""

import json
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from workbench.data import PreparedData
from workbench.data.tokenizers import Vocabulary
from workbench.planning.memory import Held
from workbench.recipe import RunConfig
from workbench.runs.started_as import StartedAs
from workbench.training import titan_patches
from workbench.training.averages import averages
from workbench.training.config import trainer_config
from workbench.training.trainer import StudyTrainer


def dry_run(config: RunConfig) -> Held:
    """Build, shard and step a run's model on the meta device, over as many ranks as it asks for.

    Once a process: torch and titan remember the meshes of the first layout.
    `workbench.planning.sharding.dry_runs` starts a process for each layout.

    Args:
        config: resolved, its vocabulary known: see `plan_study`.

    Raises:
        RuntimeError: a process group exists already.
        Exception: whatever titan says of a model that cannot be built or sharded so.
    """
    titan_patches.use_device("cpu")
    with _fake_ranks(config.parallelism.world_size):
        trainer = trainer_config(
            config,
            _without_data(config),
            Path("/nonexistent"),
            StartedAs("cpu", "bfloat16", compile=False),
        )
        model = _sharded(trainer, config.parallelism.world_size)
        whole = sum(parameter.numel() for parameter in model.parameters())
        # The fused AdamW has no meta kernel; its states are the same.
        plain = replace(trainer.optimizer, implementation="foreach")
        optimizers = plain.build(model_parts=[model])
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                # What a first step begins with. The arithmetic after it takes half a minute where
                # nothing is computed: it works out the sharding of every operation.
                lists = len(signature(optimizer._init_group).parameters) - 1
                optimizer._init_group(group, *([] for _ in range(lists)))
        means = averages(config, model)
        states = (state for part in optimizers for state in part.state.values())
        return Held(
            n_params=whole,
            parameter_bytes=_local_bytes(model.parameters()),
            gradient_bytes=_local_bytes(p.grad for p in model.parameters() if p.grad is not None),
            optimizer_bytes=_local_bytes(v for s in states for v in s.values() if v.ndim > 0)
            + sum(_local_bytes(one.mean.values()) for one in means),
        )


@contextmanager
def _fake_ranks(world_size: int) -> Iterator[None]:
    if dist.is_initialized():
        raise RuntimeError("a dry run needs a process of its own: a process group exists already")
    logging.getLogger("torchtitan").setLevel(logging.WARNING)
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=world_size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _sharded(trainer: StudyTrainer.Config, world_size: int) -> nn.Module:
    """Build the sharded model as titan's `Trainer` does, up to where memory would be taken."""
    from torchtitan.distributed import ParallelDims
    from torchtitan.distributed.utils import set_spmd_backend

    spec = trainer.model_spec
    assert spec is not None
    set_spmd_backend(trainer.parallelism.spmd_backend)
    dims = ParallelDims.from_config(trainer.parallelism, world_size)
    dims.build_mesh()
    spec.model.update_from_config(config=trainer)
    with torch.device("meta"):
        model = spec.model.build()
    sharded: nn.Module = spec.parallelize_fn(
        model,
        parallel_dims=dims,
        training=trainer.training,
        parallelism=trainer.parallelism,
        compile_config=trainer.compile,
        ac_config=trainer.activation_checkpoint,
        dump_folder=trainer.dump_folder,
    )
    with torch.no_grad():
        model.init_states(buffer_device=torch.device("meta"))  # ties the embeddings again
    return sharded


def _without_data(config: RunConfig) -> PreparedData:
    """A stand-in for the prepared data: a vocabulary of the planned size."""
    size = config.model.vocab_size
    assert size is not None
    vocabulary = Vocabulary(size - 2, size, size - 2, size - 1, 0)
    return PreparedData(Path("/nonexistent"), {"vocabulary": asdict(vocabulary)})


def _local_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of this rank's parts."""
    local = (t.to_local() if isinstance(t, DTensor) else t for t in tensors)
    return sum(t.numel() * t.element_size() for t in local)


if __name__ == "__main__":
    memory = dry_run(RunConfig.model_validate_json(sys.stdin.read()))
    print(json.dumps(asdict(memory)))
