"""A stand-in for the part of `torch.cuda` that the trainer, FSDP2 and TorchTitan call.

It answers as one GPU would that does everything at once: streams and events order nothing. What
makes the host wait is reported.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

Report = Callable[[str], None]


def _ignore(what: str) -> None: ...


class Device:
    """What the imagined GPU answers about itself; `report` hears when the host waits for it."""

    def __init__(self, name: str, memory_bytes: int) -> None:
        self.name = name
        self.memory_bytes = memory_bytes
        self.report: Report = _ignore

    def properties(self, device: object = None) -> SimpleNamespace:
        """Those of a Hopper GPU with this name and memory."""
        return SimpleNamespace(
            name=self.name, total_memory=self.memory_bytes, major=9, minor=0,
            multi_processor_count=132, L2_cache_size=50 * 2**20, warp_size=32, gcnArchName="",
            max_threads_per_multi_processor=2048, regs_per_multiprocessor=65536,
            shared_memory_per_block_optin=232448, shared_memory_per_multiprocessor=233472,
        )  # fmt: skip


def stream_and_event(device: Device) -> tuple[type, type]:
    """Classes in the place of `torch.cuda.Stream` and `torch.cuda.Event`."""

    class Event:
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

        def record(self, stream: Any = None) -> "Event":
            return self

        def wait(self, stream: Any = None) -> None: ...

        def query(self) -> bool:
            return True

        def elapsed_time(self, end: Any) -> float:
            return 1.0

        def synchronize(self) -> None:
            device.report("event.synchronize")

    class Stream:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.device = torch.device("cuda", 0)
            self.stream_id = self.cuda_stream = self.device_index = 0
            self.device_type = 1

        def wait_stream(self, stream: Any) -> None: ...

        def wait_event(self, event: Any) -> None: ...

        def record_event(self, event: Any = None) -> Any:
            return event or Event()

        def query(self) -> bool:
            return True

        def synchronize(self) -> None:
            device.report("stream.synchronize")

        def __enter__(self) -> "Stream":
            return self

        def __exit__(self, *error: Any) -> None: ...

    return Stream, Event


def _does_nothing() -> Callable[..., None]:
    """A function of its own for each name: Dynamo has one rule for each function."""

    def nothing(*args: Any, **kwargs: Any) -> None: ...

    return nothing


def answers(device: Device) -> dict[str, Any]:
    """Names of `torch.cuda` with what stands in for them."""
    stream_type, event_type = stream_and_event(device)
    current = stream_type()

    return {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": _does_nothing(),
        "is_initialized": lambda: False,
        "_lazy_init": _does_nothing(),
        "get_device_name": lambda device_=None: device.name,
        "get_device_capability": lambda device_=None: (9, 0),
        "get_device_properties": device.properties,
        "is_bf16_supported": lambda including_emulation=True: True,
        "memory_stats": lambda device_=None: defaultdict(int),
        "memory_allocated": lambda device_=None: 0,
        "max_memory_allocated": lambda device_=None: 0,
        "memory_reserved": lambda device_=None: 0,
        "mem_get_info": lambda device_=None: (device.memory_bytes, device.memory_bytes),
        "reset_peak_memory_stats": _does_nothing(),
        "empty_cache": _does_nothing(),
        "synchronize": lambda device_=None: device.report("torch.cuda.synchronize"),
        "Stream": stream_type,
        "Event": event_type,
        "current_stream": lambda device_=None: current,
        "default_stream": lambda device_=None: current,
        "set_stream": _does_nothing(),
        "stream": lambda stream: contextlib.nullcontext(),
        "device": lambda device_=None: contextlib.nullcontext(),
        "get_rng_state": lambda device_=None: torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": _does_nothing(),
        "manual_seed": _does_nothing(),
        "manual_seed_all": _does_nothing(),
        "is_current_stream_capturing": lambda: False,
    }
