"""The real worker, for `gpu.py`: it also tells what memory its training steps took.

    python benchmarks/gpu_worker.py RUN_DIR REPORT [--profile FILE] [--as-on-older-torch]

It writes no checkpoint: at a billion parameters each is 13 GB, and none is part of a step.

Where torch is older than TorchTitan 0.3.0 asks for (2.11 is what some GPU machines have), the two
names that titan imports and one rank does not need are made up. Where the engine wraps the model in
FSDP2, `fully_shard` then does so with titan's own mixed precision, as always, but without the mesh
dimensions that older torch does not take. It is the same engine; the report says what was made up.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed.fsdp

PROFILED = range(12, 15)
"""Steps of a profile: compiled and warmed up, and none of them records or evaluates."""


def stand_in() -> list[str]:
    """Make up what torch lacks of titan's imports, and tell what that was."""
    missing = []
    if not hasattr(torch.distributed.fsdp, "DataParallelMeshDims"):
        torch.distributed.fsdp.DataParallelMeshDims = type("DataParallelMeshDims", (), {})
        missing.append("torch.distributed.fsdp.DataParallelMeshDims")
    if not hasattr(torch.distributed, "set_timeout"):
        torch.distributed.set_timeout = lambda *_, **__: None
        missing.append("torch.distributed.set_timeout")
    return missing


def shard_plainly() -> None:
    """Have one rank wrapped by `fully_shard` over a mesh of one dimension, which torch 2.11 can do.

    It computes what titan's own way does, but for the order in which the two gradients of a tied
    embedding add up.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torchtitan.config import TORCH_DTYPE_MAP
    from torchtitan.distributed.compile import apply_compile
    from torchtitan.distributed.fsdp import apply_fsdp_to_decoder
    from torchtitan.tools import utils

    from workbench.training import model as built

    def parallelize(model: Any, **kwargs: Any) -> Any:
        training, compiling = kwargs["training"], kwargs["compile_config"]
        if kwargs["parallel_dims"].world_size > 1:
            raise SystemExit("With a torch this old, gpu_worker.py trains on one rank alone.")
        if kwargs["ac_config"] is not None:
            kwargs["ac_config"].build(dump_folder=kwargs["dump_folder"]).apply(model)
        if compiling.enable:
            dims = kwargs["parallel_dims"]
            apply_compile(model, compile_config=compiling, parallel_dims=dims)
        apply_fsdp_to_decoder(
            model,
            init_device_mesh(utils.device_type, (1,), mesh_dim_names=("fsdp",)),
            param_dtype=TORCH_DTYPE_MAP[training.mixed_precision_param],
            reduce_dtype=TORCH_DTYPE_MAP[training.mixed_precision_reduce],
            pp_enabled=False,
        )
        return model

    built.parallelize_qwen3 = parallelize


def profile(file: Path) -> None:
    """Write what the profiled steps spend their time on, by kernel, as JSON."""
    from torch.profiler import ProfilerActivity

    from workbench.training.trainer import StudyTrainer

    plain = StudyTrainer._optimise
    cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    profiler = torch.profiler.profile(activities=activities)

    def step(trainer: Any, batches: Any) -> None:
        if trainer.step == PROFILED.start:
            profiler.start()
        plain(trainer, batches)
        if trainer.step == PROFILED.stop - 1:
            if cuda:
                torch.cuda.synchronize()
            profiler.stop()
            file.write_text(json.dumps(most_expensive(profiler, len(PROFILED), cuda)))

    StudyTrainer._optimise = step


def most_expensive(profiler: Any, steps: int, cuda: bool, most: int = 60) -> dict[str, Any]:
    """Kernels (on a CPU: operations) by their time, in milliseconds a step."""

    def microseconds(event: Any) -> float:
        return float(event.self_device_time_total if cuda else event.self_cpu_time_total)

    # On a GPU what ran there, not the operations that launched it.
    events = [e for e in profiler.key_averages() if not cuda or e.device_type.name == "CUDA"]
    events.sort(key=microseconds, reverse=True)
    return {
        "steps": steps,
        "milliseconds_a_step": sum(map(microseconds, events)) / steps / 1e3,
        "calls_a_step": sum(event.count for event in events) / steps,
        "kernels": [
            {
                "name": event.key[:160],
                "calls_a_step": event.count / steps,
                "milliseconds_a_step": microseconds(event) / steps / 1e3,
            }
            for event in events[:most]
        ],
    }


class StepMemory:
    """The most memory that a training step held, evaluation apart. Zero on a CPU."""

    def __init__(self) -> None:
        self.on = torch.cuda.is_available()
        self.steps = self.all = 0

    def watch(self) -> None:
        """Look at every step from now on."""
        from workbench.training.trainer import StudyTrainer

        plain = StudyTrainer._optimise

        def step(trainer: Any, batches: Any) -> None:
            self.all = max(self.all, self._peak())
            plain(trainer, batches)
            self.steps = max(self.steps, self._peak())

        StudyTrainer._optimise = step

    def _peak(self) -> int:
        """Bytes of tensors at the highest since the last call."""
        if not self.on:
            return 0
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return peak

    def report(self) -> dict[str, int]:
        reserved = torch.cuda.memory_reserved() if self.on else 0
        return {
            "steps_bytes": self.steps,
            "run_bytes": max(self.steps, self.all, self._peak()),
            "reserved_bytes": reserved,
        }


def main(arguments: argparse.Namespace) -> int:
    """Train one run as `workbench.running.worker.main` does, and leave the report."""
    missing = stand_in()
    from workbench.running import worker
    from workbench.training.checkpoints import StoppableCheckpoints

    if missing or arguments.as_on_older_torch:
        shard_plainly()
    if arguments.profile:
        profile(arguments.profile)
    StoppableCheckpoints._should_save = lambda *_, **__: False
    memory = StepMemory()
    memory.watch()
    code = worker.main(arguments.run_dir)
    told = {"torch": torch.__version__, "stood_in_for": missing, "memory": memory.report()}
    arguments.report.write_text(json.dumps(told))
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--as-on-older-torch", action="store_true")
    sys.exit(main(parser.parse_args()))
