"""Starting rehearsals, each in a process of its own, and reading what they counted."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workbench.errors import InputError, WorkbenchError
from workbench.planning.gpus import Gpu
from workbench.recipe import RunConfig
from workbench.rehearsal.counts import Rehearsal
from workbench.rehearsal.libraries import Libraries, built_libraries

_NOT_PRELOADED = 3


@dataclass(frozen=True)
class Stage:
    """What rehearsals start from: the libraries, built once."""

    libraries: Libraries
    program: str = "workbench.rehearsal.program"
    """The module that runs in a rehearsal's process."""

    def rehearse(
        self,
        config: RunConfig,
        gpu: Gpu,
        *,
        layers: int | None = None,
        compiled: bool = False,
        training_only: bool = False,
    ) -> Rehearsal:
        """Rehearse a run: its training steps, evaluations, checkpoint and sampling.

        Args:
            config: resolved, its vocabulary known: see `plan_study`.
            layers: of the model, where not all of them are wanted.
            compiled: capture the blocks as `training.compile` does.
            training_only: leave out all but the training steps.

        Raises:
            InputError: LD_PRELOAD has no effect here.
            WorkbenchError: the run's trainer cannot be built so.
        """
        request = {
            "config": config.model_dump(mode="json"),
            "layers": layers,
            "compiled": compiled,
            "gpu": gpu.told_as,
            "memory_bytes": int(gpu.memory_bytes),
            "training_only": training_only,
        }
        done = subprocess.run(
            [sys.executable, "-m", self.program],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env=self.libraries.environment(os.environ),
        )
        if done.returncode == _NOT_PRELOADED:
            raise InputError(
                "a rehearsal loads a small library into its own process by LD_PRELOAD, and that "
                f"had no effect here: {_last_line(done.stderr)}. It needs Linux with a C library "
                "that preloads (glibc), and a folder for temporary files that may hold "
                "programs: set TMPDIR to one where files can be executed."
            )
        if done.returncode != 0:
            raise WorkbenchError(
                f"the rehearsal of {config.training.objective} on "
                f"{config.parallelism.world_size} ranks ended with status {done.returncode}: "
                f"{_last_line(done.stderr)}"
            )
        return Rehearsal.from_json(json.loads(done.stdout))


@contextmanager
def stage() -> Iterator[Stage]:
    """Build what rehearsals need, for as long as they go on.

    Raises:
        InputError: there is no C compiler.
    """
    with built_libraries() as libraries:
        yield Stage(libraries)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"
