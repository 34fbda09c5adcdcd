"""What a GPU's driver says of its energy, through NVML, the library that comes with the driver.

The calls and their units are those of NVIDIA's NVML API reference ("Device Queries").
"""

import ctypes
import threading
import time
from collections.abc import Callable

_LIBRARY = "libnvidia-ml.so.1"
_SUCCESS, _INSUFFICIENT_SIZE = 0, 7
_SAMPLE_EVERY_S = 0.1
"""Between two samples of power: as often as drivers work it out anew, on many GPUs."""

COUNTER, POWER = "nvml_counter", "nvml_power"
"""How joules are measured: by the GPU's own counter, or by its power in watts, sampled."""


class Gpu:
    """One physical GPU. Each reading is None where the driver gives none."""

    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self._library, self._handle = library, handle
        self.method = COUNTER if self.counted() is not None else POWER

    def counted(self) -> float | None:
        """Joules since the driver was loaded, of the whole board. GPUs have that counter from
        Volta on."""
        value = self._ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong(0))
        return None if value is None else value / 1000

    def watts(self) -> float | None:
        """What the board draws now."""
        value = self._ask("nvmlDeviceGetPowerUsage", ctypes.c_uint(0))
        return None if value is None else value / 1000

    def processes(self) -> int | None:
        """How many processes compute on it, as far as the driver shows them here: a container may
        see its own alone, or none."""
        count = ctypes.c_uint(0)
        call = getattr(self._library, "nvmlDeviceGetComputeRunningProcesses_v3", None)
        answer = None if call is None else call(self._handle, ctypes.byref(count), None)
        return count.value if answer in (_SUCCESS, _INSUFFICIENT_SIZE) else None

    def _ask(self, call: str, value: "ctypes.c_ulonglong | ctypes.c_uint") -> int | None:
        function = getattr(self._library, call, None)
        if function is None or function(self._handle, ctypes.byref(value)) != _SUCCESS:
            return None
        return int(value.value)


def find_gpu(uuid: str) -> Gpu | None:
    """The GPU of a UUID (`GPU-...`), or None where the driver's library or that GPU is missing, or
    neither its energy nor its power can be read, as of a part of a GPU (MIG)."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    handle = ctypes.c_void_p()
    if library.nvmlInit_v2() != _SUCCESS:
        return None
    if library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) != _SUCCESS:
        return None
    gpu = Gpu(library, handle)
    return gpu if gpu.method == COUNTER or gpu.watts() is not None else None


class SampledPower:
    """Joules since it was made, of power that a thread samples: the trapezoid between samples."""

    def __init__(self, watts: Callable[[], float | None]) -> None:
        self._watts, self._lock, self._ended = watts, threading.Lock(), threading.Event()
        self._joules: float | None = 0.0
        self._last = time.monotonic(), watts()
        threading.Thread(target=self._sample, daemon=True).start()

    def read(self) -> float | None:
        """Joules up to now; None from the first sample that failed on."""
        with self._lock:
            now, watts = time.monotonic(), self._watts()
            then, before = self._last
            if self._joules is None or watts is None or before is None:
                self._joules = None
            else:
                self._joules += (now - then) * (watts + before) / 2
            self._last = now, watts
            return self._joules

    def close(self) -> None:
        """Sample no more."""
        self._ended.set()

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_EVERY_S):
            self.read()
