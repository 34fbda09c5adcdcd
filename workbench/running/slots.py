"""Slots: how many ranks train at once on this machine, and on which GPUs."""

import os
from dataclasses import dataclass

from workbench.errors import InputError
from workbench.recipe import RunConfig
from workbench.running.visible_gpus import visible_gpus


@dataclass(frozen=True)
class Slot:
    """What one run occupies."""

    places: tuple[int, ...]
    env: dict[str, str]


class Slots:
    """Places for ranks: GPUs, or shares of the CPU."""

    def __init__(self, places: list[int], gpus: list[str] | None) -> None:
        self.free = list(places)
        self.gpus = gpus

    def take(self, ranks: int) -> Slot | None:
        """Room for a run of that many ranks, or None while there is none."""
        if len(self.free) < ranks:
            return None
        places, self.free = tuple(self.free[:ranks]), self.free[ranks:]
        env = {}
        if self.gpus is not None:
            own = [self.gpus[place] for place in places]
            env["CUDA_VISIBLE_DEVICES"] = ",".join(own)
            if any(self.gpus.count(gpu) > 1 for gpu in own):
                env["WORKBENCH_SHARED_GPU"] = "1"  # `SHARED_GPU` of training/energy.py
        return Slot(places, env)

    def give_back(self, slot: Slot) -> None:
        self.free = sorted([*self.free, *slot.places])


def make_slots(configs: list[RunConfig], jobs: int | None, runs_per_gpu: int = 1) -> Slots:
    """Slots for a study's runs.

    Args:
        jobs: ranks that train at once. Runs of one rank share GPUs where there are fewer.
        runs_per_gpu: how many of them do where `jobs` is None. Runs of several ranks never do:
            NCCL takes no GPU twice.

    Raises:
        InputError: `jobs` is less than the ranks of one run, or there are fewer GPUs than that.
    """
    largest = max(config.parallelism.world_size for config in configs)
    on_cpu = all(config.training.device == "cpu" for config in configs)
    gpus = [] if on_cpu else visible_gpus()
    if gpus:
        if largest == 1:
            # In turns: the first runs have a GPU each.
            gpus = gpus * (runs_per_gpu if jobs is None else -(-jobs // len(gpus)))
        available = len(gpus)
        if largest > available:
            raise InputError(
                f"parallelism: a run needs {largest} GPUs, and {available} are visible."
            )
    else:
        threads = max(config.training.threads for config in configs)
        # Ranks of one run may share cores: it is slow, but a way to try a recipe out.
        available = max(len(os.sched_getaffinity(0)) // threads, largest)
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: expected 1 or more.")
    if jobs is not None and jobs < largest:
        raise InputError(f"--jobs {jobs}: one run of this study takes {largest} ranks at once.")
    count = available if jobs is None else jobs
    places = list(range(min(count, available) if gpus else count))
    return Slots(places, gpus[: len(places)] or None)
