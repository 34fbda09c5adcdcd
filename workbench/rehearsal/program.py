"""The process of a rehearsal: `python -m workbench.rehearsal.program < request > result`.

It is given the libraries of `libraries.py` by its environment, and makes torch believe in a GPU:
nothing else should happen in it afterwards.
"""

import ctypes
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from workbench.rehearsal.libraries import PRELOADED

NOT_PRELOADED = 3
"""Exit status where LD_PRELOAD had no effect."""


def main() -> int:
    """Rehearse the run on stdin and write what was counted to stdout, as JSON."""
    try:
        preloaded = ctypes.CDLL(None).workbench_rehearse_devices
    except AttributeError:
        print(f"LD_PRELOAD did not load {os.environ.get(PRELOADED)}", file=sys.stderr)
        return NOT_PRELOADED
    request = json.load(sys.stdin)
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever prints, this process's stdout holds the result alone
    result = rehearse(request, preloaded)
    with os.fdopen(answer, "w") as stdout:
        json.dump(result, stdout)
    return 0


def rehearse(request: dict[str, Any], preloaded: Any) -> dict[str, Any]:
    """The document of a `counts.Rehearsal`.

    Args:
        request: "config", "layers", "compiled", "gpu", "memory_bytes" and "training_only".
        preloaded: the library's function that says how many devices there are.
    """
    import torch
    from torch import distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from workbench.recipe import RunConfig
    from workbench.rehearsal import torch_patches
    from workbench.rehearsal.fake_cuda import Device

    logging.disable(logging.WARNING)
    device = Device(request["gpu"], request["memory_bytes"])
    mode = torch_patches.imagine_gpu(device)

    # Titan reads what torch.cuda says when it is imported: all that uses it comes after.
    from workbench.rehearsal import capture
    from workbench.rehearsal.counting import Counting
    from workbench.rehearsal.counts import Rehearsal
    from workbench.rehearsal.phases import Rehearser
    from workbench.rehearsal.stand_in import reduced, stand_in_data
    from workbench.training import titan_patches

    torch_patches.keep_meshes_real()
    torch_patches.leave_tiles_out()
    torch_patches.leave_out_stream_records()
    torch_patches.compare_no_plans()
    titan_patches.use_device("cuda")
    config = reduced(RunConfig.model_validate(request["config"]), request["layers"])
    torch.autograd.set_multithreading_enabled(False)
    world_size = config.parallelism.world_size
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=world_size)
    size = config.model.vocab_size or 0
    counting = Counting(vocabulary=(size, size - 2, size // config.parallelism.tensor))
    torch_patches.leave_out_sharding(counting)
    torch_patches.follow_resizing(counting.memory)
    if request["compiled"]:
        capture.register(counting)
    device.report = counting.waits
    with tempfile.TemporaryDirectory(prefix="workbench-rehearsal-") as name:
        data = stand_in_data(config, Path(name) / "data")
        rehearser = Rehearser(config, Path(name), data, counting)
        with mode, counting:
            preloaded(127)
            trainer = rehearser.trainer(compiled=request["compiled"])
            rehearser.steps(trainer)
            held = counting.memory.now
            if not rehearser.phases[-1].error and not request["training_only"]:
                rehearser.evaluations(trainer)
                rehearser.checkpoint(trainer)
            del trainer
            if not request["training_only"]:
                rehearser.sampling()
    return Rehearsal(
        layers=config.model.shape.layers,
        compiled=request["compiled"],
        world_size=world_size,
        held_bytes=held,
        phases=rehearser.phases,
        left_out=rehearser.left_out,
    ).document()


if __name__ == "__main__":
    sys.exit(main())
