"""The real worker, for `gpu.py`: it also tells what memory its training steps took.

    python benchmarks/gpu_worker.py RUN_DIR REPORT

Two things differ from a worker that `workbench run` starts. It writes no checkpoint: at a billion
parameters each is 13 GB, and none is part of a step. And where torch is older than TorchTitan 0.3.0
asks for (2.11 is what some GPU machines have), the two names that titan imports and one rank does
not need are made up, and the model is not wrapped in FSDP2, which would call them: autocast then
computes in bfloat16. The report says which of the two it was.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed.fsdp


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


def compute_without_fsdp() -> None:
    """Leave one rank unwrapped, and compute in bfloat16 by autocast where the run asks for it."""
    from workbench.training import config
    from workbench.training.trainer import StudyTrainer

    plain_spec, plain_body = config.model_spec, StudyTrainer._forward_backward_body

    def spec(*arguments: Any, **named: Any) -> Any:
        return plain_spec(*arguments, **(named | {"shard_one_rank": False}))

    def body(self: StudyTrainer, *arguments: Any, **named: Any) -> Any:
        wanted = self.config.training.mixed_precision_param == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=wanted):
            return plain_body(self, *arguments, **named)

    config.model_spec = spec
    StudyTrainer._forward_backward_body = body


class StepMemory:
    """The most memory that a training step held, evaluation apart. Zero on a CPU."""

    def __init__(self) -> None:
        self.on = torch.cuda.is_available()
        self.steps = self.all = 0

    def watch(self) -> None:
        """Look at every step from now on."""
        from torchtitan.trainer import Trainer

        plain = Trainer.train_step

        def step(trainer: Any, batches: Any) -> None:
            self.all = max(self.all, self._peak())
            plain(trainer, batches)
            self.steps = max(self.steps, self._peak())

        Trainer.train_step = step

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


def main(run_dir: Path, report: Path) -> int:
    """Train one run as `workbench.running.worker.main` does, and leave the report."""
    missing = stand_in()
    from workbench.running import worker
    from workbench.training.checkpoints import StoppableCheckpoints

    if missing:
        compute_without_fsdp()
    StoppableCheckpoints._should_save = lambda *_, **__: False
    memory = StepMemory()
    memory.watch()
    code = worker.main(run_dir)
    told = {"torch": torch.__version__, "stood_in_for": missing, "memory": memory.report()}
    report.write_text(json.dumps(told))
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
