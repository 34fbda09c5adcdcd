"""The batch script of a job array."""

import re
import shlex
import sys
from pathlib import Path

from workbench.errors import InputError
from workbench.recipe.slurm import SlurmConfig
from workbench.running.slurm.shapes import Array

TASK_MODULE = "workbench.running.slurm.array_task"


def batch_script(
    array: Array, settings: SlurmConfig, *, name: str, folder: Path, number: int
) -> str:
    """Return the batch script, which sbatch reads.

    Args:
        name: of the job, in the queue.
        folder: of the submission; tasks find their runs there and leave their logs.
        number: of the array within the submission.

    Raises:
        InputError: the path of a folder cannot stand in a batch script.
    """
    directives = "\n".join(
        f"#SBATCH {directive}" for directive in _directives(array, settings, name)
    )
    for path in (folder.absolute(), Path.cwd()):
        if not re.fullmatch(r'[^"\\\x00-\x1f]+', str(path)):
            raise InputError(
                f"{path}: Slurm takes no folder with quotes, backslashes or line ends in its name."
            )
    logs = str(folder.absolute() / f"array-{number}").replace("%", "%%")
    environment = "".join(
        f"export {key}={shlex.quote(value)}\n" for key, value in settings.environment.items()
    )
    prologue = "".join(f"{line}\n" for line in settings.prologue)
    command = [sys.executable, "-m", TASK_MODULE, str(folder.absolute()), str(number)]
    return (
        "#!/bin/bash\n"
        f"{directives}\n"
        f'#SBATCH --output="{logs}-%a.log"\n'
        f'#SBATCH --chdir="{Path.cwd()}"\n'
        "\n"
        "trap '' USR1    # a warning during the prologue must not end the task\n"
        f"{environment}{prologue}"
        f"exec {shlex.join(command)}\n"
    )


def _directives(array: Array, settings: SlurmConfig, name: str) -> list[str]:
    shape = array.shape
    throttle = f"%{settings.array_throttle}" if settings.array_throttle else ""
    gpus = f"gpu:{settings.gpu_type}:" if settings.gpu_type else "gpu:"
    given = {
        "job-name": name,
        "array": f"0-{len(array.tasks) - 1}{throttle}",
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "constraint": settings.constraint,
        "time": settings.time,
        "nodes": shape.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": shape.cpus_per_node,
        "gres": f"{gpus}{shape.gpus_per_node}" if shape.gpus_per_node else None,
        "mem": settings.memory,
        "signal": f"B:USR1@{settings.warning}",
        "open-mode": "append",
    }
    lines = [f"--{key}={_quoted(value)}" for key, value in given.items() if value is not None]
    return [*lines, "--requeue", *settings.options]


def _quoted(value: object) -> str:
    """Quote a value for sbatch, which reads quotes as a shell does."""
    text = str(value)
    return f'"{text}"' if any(c in text for c in " &|*()[]#") else text
