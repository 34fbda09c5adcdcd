"""Keys of single objectives: which combinations make no run, and which values say nothing."""

from typing import Any

from workbench.recipe.models import RunConfig
from workbench.recipe.objectives import foreign_keys, objective_facts

# Values that ask for nothing beyond the plain objective. They leave the resolved configuration,
# so that a run which does not use a key is the same run whether or not its recipe names it.
_PLAIN = {"input_mask": 0, "mask_aux_weight": 0, "noise_samples": 1}
PLAIN_VALUES = {f"training.{key}": plain for key, plain in _PLAIN.items()} | {"model.dropout": 0}
"""By dotted key, the value that an absent key stands for in a resolved configuration."""


def check_objective(config: RunConfig) -> str | None:
    """What is wrong with the objective's own keys, or None."""
    training, length = config.training, config.data.seq_len
    objective_facts(training.objective)  # says why, where its plug-in cannot be used
    foreign = foreign_keys(training.objective)
    weighs = "training.mask_aux_weight" not in foreign and training.mask_aux_weight
    if weighs and training.input_mask is None:
        return (
            f"training.mask_aux_weight = {weighs:g} weighs the loss on masked "
            "inputs: give training.input_mask, their share, such as 0.3."
        )
    if "training.block_size" in foreign:
        return None
    size = training.block_size
    if size is None:
        return (
            f'training.objective = "{training.objective}" needs training.block_size, tokens a '
            f"block: a divisor of data.seq_len = {length}, such as {_divisors(length)}."
        )
    if length % size:
        return (
            f"training.block_size = {size} does not divide data.seq_len = {length}. "
            f"Sizes that do: {_divisors(length)}."
        )
    return None


def without_plain(config: RunConfig) -> RunConfig:
    """The configuration without keys that change nothing in its run."""
    training = config.training
    changes: dict[str, Any] = {
        key: None for key, plain in _PLAIN.items() if getattr(training, key) == plain
    }
    if "training.input_mask" not in foreign_keys(training.objective) and not training.input_mask:
        # Clean inputs have no noise to draw several times.
        changes |= {"mask_aux_weight": None, "noise_samples": None}
    return config.model_copy(update={"training": training.model_copy(update=changes)})


def _divisors(n: int) -> str:
    found = [d for d in range(1, n + 1) if n % d == 0]
    return ", ".join(map(str, found if len(found) <= 8 else [*found[:7], n]))
