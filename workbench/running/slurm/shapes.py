"""Which runs make one job array: those that ask for the same resources."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from workbench.errors import InputError
from workbench.planning.trunks import trunks
from workbench.recipe import RunConfig
from workbench.recipe.ranks import laid_out
from workbench.recipe.slurm import SlurmConfig

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Shape:
    """What one task of an array is given."""

    nodes: int
    ranks: int
    """Of a run, over all its nodes."""
    threads: int
    """CPU threads a rank."""
    gpus_per_node: int | None
    cpus_per_node: int
    at_once: int
    """Runs that train at a time."""


@dataclass(frozen=True)
class Array:
    """A job array: its shape, and the runs of each task."""

    shape: Shape
    tasks: list[list[str]]


def shape_of(config: RunConfig, settings: SlurmConfig) -> Shape:
    """The resources of a run.

    Raises:
        InputError: its ranks do not fit the nodes that are asked for, or it cannot train on them.
    """
    config = laid_out(config, settings.ranks)
    parallel, training = config.parallelism, config.training
    ranks = parallel.world_size
    gpus = None if training.device == "cpu" else settings.gpus_per_node
    nodes = settings.nodes or (math.ceil(ranks / gpus) if gpus else 1)
    if ranks % nodes:
        raise InputError(
            f"launcher.slurm.nodes = {nodes}: a run of {ranks} ranks cannot be divided equally "
            f"among {nodes} nodes. Change nodes, or [parallelism]."
        )
    per_node = ranks // nodes
    if per_node % parallel.tensor:
        raise InputError(
            f"parallelism.tensor = {parallel.tensor}: tensor parallel stays within a node, and "
            f"{nodes} nodes have {per_node} ranks each. Change launcher.slurm.nodes, or tensor."
        )
    if gpus is not None and per_node > gpus:
        raise InputError(
            f"launcher.slurm.gpus_per_node = {gpus}: a run has {per_node} ranks on a node. "
            f"Give launcher.slurm.nodes = {math.ceil(ranks / gpus)}, or more GPUs."
        )
    at_once = _at_once(settings, nodes, ranks, gpus, training.threads)
    return Shape(
        nodes=nodes,
        ranks=ranks,
        threads=training.threads,
        gpus_per_node=gpus,
        cpus_per_node=settings.cpus_per_node or training.threads * per_node * at_once,
        at_once=at_once,
    )


def _at_once(settings: SlurmConfig, nodes: int, ranks: int, gpus: int | None, threads: int) -> int:
    """Runs that train at a time in one task: one, unless several were put there to share it."""
    if nodes > 1 or settings.runs_per_task == 1:
        return 1
    if settings.runs_at_once is not None:
        room = settings.runs_at_once
    elif gpus is not None:
        room = gpus // ranks * (settings.runs_per_gpu if ranks == 1 else 1)
    elif settings.cpus_per_node is not None:
        room = settings.cpus_per_node // (ranks * threads)
    else:
        room = 1
    return max(1, min(room, settings.runs_per_task))


def make_arrays(
    runs: Iterable[tuple[str, RunConfig]], settings: SlurmConfig, largest: int
) -> list[Array]:
    """The runs by shape, in their order, as arrays of at most `largest` tasks.

    Raises:
        InputError: see `shape_of`.
    """
    by_shape: dict[Shape, list[list[str]]] = {}
    for shape, names in _on_one_trunk(list(runs), settings):
        by_shape.setdefault(shape, []).append(names)
    arrays = []
    for shape, groups in by_shape.items():
        tasks = list(_packed(groups, settings.runs_per_task))
        arrays += [Array(shape, part) for part in _chunks(tasks, largest)]
    return arrays


def _on_one_trunk(
    runs: list[tuple[str, RunConfig]], settings: SlurmConfig
) -> Iterator[tuple[Shape, list[str]]]:
    """The runs of each trunk, or single ones, with their shape: a longer run needs the shorter
    one's checkpoint, so one task trains both."""
    sources = trunks((name, config, config.data.model_dump_json()) for name, config in runs).sources
    groups: dict[tuple[Shape, str], list[str]] = {}
    for name, config in runs:
        first = sources[name][-1].run if name in sources else name
        groups.setdefault((shape_of(config, settings), first), []).append(name)
    for (shape, _), names in groups.items():
        yield shape, names


def _packed(groups: list[list[str]], size: int) -> Iterator[list[str]]:
    """Tasks of `size` runs, or fewer: a group is not divided, and may have more."""
    task: list[str] = []
    for group in groups:
        if task and len(task) + len(group) > size:
            yield task
            task = []
        task = task + group
    if task:
        yield task


def _chunks(items: list[_Item], size: int) -> Iterator[list[_Item]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
