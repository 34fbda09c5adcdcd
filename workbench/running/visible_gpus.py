"""Which GPUs of this machine processes see, without torch: its import takes seconds."""

import ctypes
import os
import re

_NVML = "libnvidia-ml.so.1"
_NAMED = ("GPU-", "MIG-")


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that CUDA would give a process here, each by a name that
    CUDA_VISIBLE_DEVICES takes.

    Where the driver's library is missing, what that variable names is believed.
    """
    present, named = _present(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number in range(present or 0)]
    return [] if present == 0 else _as_cuda_reads(named, present)


def _present() -> int | None:
    """GPUs that the driver counts, and a container hands on; None without its library."""
    try:
        nvml = ctypes.CDLL(_NVML)
    except OSError:
        return None
    if nvml.nvmlInit_v2() != 0:
        return 0  # the library is here, and no driver
    count = ctypes.c_uint(0)
    found = nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
    nvml.nvmlShutdown()
    return count.value if found else 0


def _as_cuda_reads(named: str, present: int | None) -> list[str]:
    """The GPUs up to the first name that is none, such as -1; none at all where one is named twice.

    Numbers, or else ids of GPUs or of parts of them (MIG), as the first name is.
    """
    prefix = next((one for one in _NAMED if named.startswith(one)), None)
    gpus: list[str] = []
    for name in named.split(","):
        if prefix is not None:
            gpu = name if name.startswith(prefix) else None
        else:
            number = re.match(r"\s*\+?(\d+)", name)
            beyond = number and present is not None and int(number[1]) >= present
            gpu = str(int(number[1])) if number and not beyond else None
        if gpu is None:
            break
        if gpu in gpus:
            return []
        gpus.append(gpu)
    return gpus
