"""Every change that we make to TorchTitan 0.3.0 from outside, each with its reason.

Titan supports accelerators only. On a CPU it falls back to `torch.cuda` for its device module,
and copies that name into several of its modules at import. `use_device` replaces the copies, so
it works before and after those imports, and in a process forked from a warm parent.
"""

import sys
import time
import types
from types import SimpleNamespace
from typing import Any

import torch


class CpuDeviceModule:
    """The part of `torch.cuda`'s interface that titan 0.3.0 calls, for the host's memory."""

    @staticmethod
    def get_device_name(device: object = None) -> str:
        return "cpu"

    @staticmethod
    def get_device_properties(device: object = None) -> SimpleNamespace:
        import os

        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return SimpleNamespace(total_memory=total, name="cpu")

    @staticmethod
    def memory_stats(device: object = None) -> dict[str, int]:
        return {}

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def set_device(device: object) -> None: ...

    @staticmethod
    def reset_peak_memory_stats(device: object = None) -> None: ...

    @staticmethod
    def empty_cache() -> None: ...

    @staticmethod
    def synchronize(device: object = None) -> None: ...


def use_device(device_type: str) -> None:
    """Make titan run on "cpu" or "cuda" in this process."""
    module: Any = CpuDeviceModule() if device_type == "cpu" else torch.cuda
    from torchtitan.tools import utils

    if utils.device_type == device_type and isinstance(utils.device_module, type(module)):
        return  # looking through all modules costs a forked worker a third of a second
    for name, loaded in list(sys.modules.items()):
        if name.startswith("torchtitan") and isinstance(loaded, types.ModuleType):
            if "device_type" in vars(loaded):
                loaded.device_type = device_type  # type: ignore[attr-defined]
            if "device_module" in vars(loaded):
                loaded.device_module = module  # type: ignore[attr-defined]


def skip_final_sleep() -> None:
    """Remove the 2 s that `Trainer.train` sleeps at its end "for other ranks to complete".

    Our ranks leave through a barrier, and in a sweep of small runs 2 s a run is most of the
    overhead. Titan's trainer module calls `time.perf_counter`, `time.monotonic` and `time.sleep`.
    """
    import torchtitan.trainer

    quiet = SimpleNamespace(
        perf_counter=time.perf_counter, monotonic=time.monotonic, sleep=lambda seconds: None
    )
    torchtitan.trainer.time = quiet


def compile_flex_attention_untuned() -> None:
    """Compile FlexAttention without trying variants out first, as titan does when it has to be
    deterministic: another start might find another one the fastest, and give other bits."""
    from torch.nn.attention.flex_attention import flex_attention
    from torchtitan.models.common.attention import FlexAttention

    options = FlexAttention.inductor_configs
    if options["max_autotune"]:
        options.update(max_autotune=False, coordinate_descent_tuning=False)
        FlexAttention._compiled_flex_attn = torch.compile(flex_attention, options=options)


def run_dist_muon_on_cpus() -> None:
    """Let DistMuon work on tensors of the host, over gloo: it asks for CUDA, for streams alone.

    Its plan, its exchanges (`all_to_all_single`) and its arithmetic name no device.
    """
    from torchtitan.distributed.flex_shard import _optimizer_reshard_runtime as runtime
    from torchtitan.distributed.flex_shard.dist_muon import DistMuon

    def on_the_host(optimizer: Any) -> torch.device:
        return torch.device("cpu")

    def without_streams(device: torch.device) -> Any:
        slots = (
            runtime._PipelineSlot(runtime._BufferSlot(), *(torch.cpu.Event() for _ in range(3)))
            for _ in range(runtime._NUM_PIPELINE_SLOTS)
        )
        return runtime._CommunicationContext(torch.cpu, torch.cpu.Stream(), tuple(slots))

    DistMuon._validate_parameter_storage = on_the_host
    runtime._CommunicationContext.create = staticmethod(without_streams)


def force_sum_reduction(model: torch.nn.Module) -> None:
    """Make FSDP2 sum and divide by itself: gloo has no averaging reduction (torch 2.15)."""
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)
