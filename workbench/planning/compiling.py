"""Whether a run is compiled, where its recipe leaves that to the workbench.

The choice follows from the plan alone: from the device that the run is to train on and from its
FLOPs, never from what a machine has measured, so that a run has the same numbers wherever it is
started.
"""

import os
import shlex
import subprocess

from workbench.recipe.models import AUTO_COMPILE_FLOPS, TrainingConfig


def is_to_be_compiled(training: TrainingConfig, device: str, train_flops: float) -> bool:
    """Whether a run is compiled on a device, as its recipe says or, under `auto`, as it pays.

    Args:
        device: "cpu" or "cuda".
        train_flops: of the whole run, as planned.
    """
    asked = training.compile
    if asked != "auto":
        return asked
    return device == "cuda" or train_flops >= AUTO_COMPILE_FLOPS


def device_of(training: TrainingConfig, here: str) -> str:
    """The device that a run asks for, "cpu" or "cuda", or the one `here` where it takes either."""
    return here if training.device == "auto" else training.device


def missing_compiler() -> str | None:
    """The C++ compiler that torch.compile would call, if it is not to be had; else None.

    As torch 2.15.0 looks for it: the command in CXX, else g++.
    """
    command = os.environ.get("CXX", "g++")
    try:
        subprocess.run([*shlex.split(command), "--version"], capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError, ValueError):
        return command
    return None
