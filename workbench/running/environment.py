"""What has to be set before a worker imports torch."""

import getpass
import os
import tempfile
from pathlib import Path

from workbench.running.visible_gpus import visible_gpus

# Torch reads the first; the second is its older name.
_ALLOCATOR_VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def worker_environment(threads: int) -> dict[str, str]:
    """Environment for a worker that computes on `threads` CPU threads.

    Thread pools take their size at import. On a CPU, large tensors on huge pages save the kernel
    hundreds of page faults each: 5 % of a step of the 5M model.
    """
    return {
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        "THP_MEM_ALLOC_ENABLE": os.environ.get("THP_MEM_ALLOC_ENABLE", "1"),
        **compiled_code(),
        **gpu_memory(),
    }


def gpu_memory() -> dict[str, str]:
    """Environment that lets GPU memory be mapped in growing segments, unless the user has chosen.

    Passes of training, validation and tasks differ in size. In segments of fixed size what one has
    left free does not fit the next, and memory runs out that is not used.
    """
    if not visible_gpus() or any(name in os.environ for name in _ALLOCATOR_VARIABLES):
        return {}
    return {_ALLOCATOR_VARIABLES[0]: "expandable_segments:True"}


def compiled_code() -> dict[str, str]:
    """Environment that says where compiled code lies, if ATEN_CPU_CAPABILITY chooses vector units.

    Torch 2.15.0 finds code in its cache whatever vector units it was compiled for, and a worker
    that runs such code is aborted. So each choice has a folder of its own, beside torch's.
    """
    chosen = os.environ.get("ATEN_CPU_CAPABILITY")
    if not chosen or "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return {}
    folder = Path(tempfile.gettempdir()) / f"torchinductor_{getpass.getuser()}_{chosen}"
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder)}
