"""Which runs may follow each other in one process."""

import json

from workbench.recipe import RunConfig

_MAY_DIFFER = {
    "data": {"unique_tokens"},
    "training": {
        "seed", "lr", "min_lr_ratio", "warmup_steps", "decay_fraction", "decay", "weight_decay",
        "betas", "hidden_lr", "embedding_lr", "head_lr", "muon_momentum", "muon_scaling",
        "total_tokens", "epochs", "log_every", "checkpoint_every", "checkpoint_points",
    },
}  # fmt: skip
"""What runs may differ in and still run the same compiled code: numbers that it takes as data."""


def kind_of(config: RunConfig) -> str | None:
    """Return a key that is equal for compiled runs that can share compiled code; None for others.

    A run that compiles nothing gains nothing from a process that has been used before.
    """
    if config.parallelism.world_size > 1:
        return None
    document = config.model_dump(mode="json")
    for table, names in _MAY_DIFFER.items():
        document[table] = {k: v for k, v in document[table].items() if k not in names}
    if config.evaluation.memorisation is not None:
        # As many windows are asked about as there are: a shape of the compiled code.
        document["data"]["unique_tokens"] = config.data.unique_tokens
    return json.dumps(document, sort_keys=True)
