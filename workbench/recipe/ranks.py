"""On how many ranks a run trains: those of its recipe, or as many as there are today.

`[parallelism]` is part of what a run is, and its results do not depend on it beyond rounding:
windows, noise and dropout are keyed by a sequence's place in the global batch, weights by their
names, and a checkpoint is read by whatever ranks there are. So a run that has begun may go on
on another number of ranks, and keeps its id.
"""

from workbench.errors import InputError
from workbench.recipe import ParallelismConfig, RunConfig


def laid_out(config: RunConfig, ranks: int | None) -> RunConfig:
    """The run as it trains on `ranks` ranks; as planned where None.

    Tensor-parallel ranks stay. The others hold the weights in copies as large as planned where
    there were several and they divide, else share them all (FSDP2). A rank passes no more
    sequences at once than planned. In a mixture of experts, whose balance is judged over what
    passes at once on all ranks, all of them together pass as many as planned.

    Raises:
        InputError: the run cannot be parted so; both layouts and what fits are named.
    """
    planned = config.parallelism
    if ranks is None or ranks == planned.world_size:
        return config
    data_ranks, left = divmod(ranks, planned.tensor)
    if left or not data_ranks or config.training.batch_size % data_ranks:
        raise InputError(_refusal(config, ranks))
    whole = planned.replicate == 1 or data_ranks % planned.shard
    shard = data_ranks if whole else planned.shard
    parallelism = planned.model_copy(update={"shard": shard, "replicate": data_ranks // shard})
    training = config.training.model_copy(
        update={"micro_batch_size": _micro_batch(config, ranks, data_ranks)}
    )
    return config.model_copy(update={"parallelism": parallelism, "training": training})


def _micro_batch(config: RunConfig, ranks: int, data_ranks: int) -> int:
    """Sequences that each rank passes at once."""
    training, planned = config.training, config.parallelism.data_ranks
    before = config.trained_at_once
    share = training.batch_size // data_ranks
    if not config.model.moe_experts:
        return next(n for n in range(min(before, share), 0, -1) if share % n == 0)
    together = before * planned
    if together % data_ranks:
        raise InputError(
            f"{_both(config, ranks)} A mixture of experts passes {together} sequences at once on "
            f"all ranks together, which {data_ranks} cannot share. Give a number that divides them."
        )
    return together // data_ranks


def _refusal(config: RunConfig, ranks: int) -> str:
    batch, tensor = config.training.batch_size, config.parallelism.tensor
    fitting = [tensor * n for n in range(1, batch + 1) if batch % n == 0]
    nearest = sorted(sorted(fitting, key=lambda one: abs(one - ranks))[:4])
    unit = "ranks" if tensor == 1 else f"groups of {tensor} tensor-parallel ranks"
    return (
        f"{_both(config, ranks)} Its batch of {batch} sequences must be shared out evenly among "
        f"{unit}. Numbers that do: {', '.join(map(str, nearest))}."
    )


def _both(config: RunConfig, ranks: int) -> str:
    return f"{ranks} ranks: a run planned for {described(config.parallelism)} cannot train on them."


def described(layout: ParallelismConfig) -> str:
    """For people: the ranks, and what they do."""
    parts = [
        f"{name} = {count}"
        for name, count in (
            ("shard", layout.shard),
            ("replicate", layout.replicate),
            ("tensor", layout.tensor),
        )
        if count > 1
    ]
    ranks = f"{layout.world_size} rank{'s' if layout.world_size > 1 else ''}"
    return f"{ranks} ({', '.join(parts)})" if parts else ranks
