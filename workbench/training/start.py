"""What a run starts as on this machine, or goes on as: its device, its dtype, compiled or not."""

from dataclasses import replace

import torch
from torch import distributed as dist

from workbench.errors import WorkbenchError
from workbench.planning.compiling import is_to_be_compiled, missing_compiler
from workbench.planning.flops import train_flops
from workbench.recipe import RunConfig
from workbench.runs.started_as import StartedAs


def start_of(config: RunConfig, before: StartedAs | None = None) -> StartedAs:
    """What a run starts as here: `auto` is a GPU in bfloat16 if there is one, else the CPU in
    float32; and compiled on a GPU, or on a CPU where that pays (`planning/compiling.py`).

    Args:
        config: resolved, its vocabulary known.
        before: what the run was started as; then it goes on so, on a machine that can.

    Raises:
        WorkbenchError: this machine cannot train the run as asked, or as it was started.
    """
    training = config.training
    gpu = torch.cuda.is_available()
    device: str = training.device if before is None else before.device
    if device == "auto":
        device = "cuda" if gpu else "cpu"
    if device == "cuda" and not gpu:
        began = 'training.device = "cuda"' if before is None else f"it was started as {before}"
        way_out = "." if before is None else _way_out("where there is a GPU")
        raise WorkbenchError(f"{began}, and there is no GPU here{way_out}")
    if before is not None:
        return _going_on(config, before)
    dtype: str = training.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" else "float32"
    compiled = is_to_be_compiled(training, device, train_flops(config))
    missing = cannot_compile(device) if compiled else None
    if missing and training.compile is True:
        raise WorkbenchError(f"training.compile = true, and {missing}.")
    return StartedAs(device, dtype, compiled and missing is None, why_eager=missing)


def _going_on(config: RunConfig, before: StartedAs) -> StartedAs:
    """What a run was started as, if its recipe and this machine still allow that."""
    training = config.training
    asked = {"device": training.device, "dtype": training.dtype, "compile": training.compile}
    was = {"device": before.device, "dtype": before.dtype, "compile": before.compile}
    changed = [key for key, value in asked.items() if value not in ("auto", was[key])]
    if changed:
        now = ", ".join(f"training.{key} = {str(asked[key]).lower()}" for key in changed)
        raise WorkbenchError(
            f"the run was started as {before}, and its recipe says {now} now"
            f"{_way_out('by the recipe as it was')}"
        )
    missing = cannot_compile(before.device) if before.compile else None
    if missing:
        raise WorkbenchError(
            f"the run was started as {before}, and here {missing}{_way_out('where that is not so')}"
        )
    return before


def _way_out(where: str) -> str:
    return (
        f": its numbers would go on by another arithmetic. Go on {where} (`workbench retry`), or "
        "move the run's folder away: `workbench run` then trains it anew."
    )


def cannot_compile(device: str) -> str | None:
    """What torch.compile lacks on this machine, in words, or None where it lacks nothing."""
    missing = missing_compiler()
    if missing is not None:
        return f"there is no C++ compiler ({missing})"
    if device == "cpu":
        # Takes a second: inductor is imported, and tries the compiler.
        from torch._inductor.cpu_vec_isa import pick_vec_isa

        # The C++ that it writes without them does not compile (torch 2.15.0).
        if not pick_vec_isa():
            return "torch finds no vector units that it can compile for"
    return None


def agreed(mine: StartedAs) -> StartedAs:
    """What all ranks start as: eager, if one of an automatic choice cannot compile.

    Raises:
        WorkbenchError: they differ in more than that.
    """
    if dist.get_world_size() == 1:
        return mine
    starts: list[StartedAs] = [mine] * dist.get_world_size()
    dist.all_gather_object(starts, mine)
    if len(set(starts)) == 1:
        return mine
    eager = [start for start in starts if not start.compile]
    alike = {replace(start, compile=False, why_eager=None) for start in starts}
    if len(alike) > 1 or not any(start.why_eager for start in eager):
        found = "; ".join(f"rank {rank}: {start}" for rank, start in enumerate(starts))
        raise WorkbenchError(f"the ranks of a run have to compute alike, and do not: {found}.")
    return next(start for start in eager if start.why_eager)
