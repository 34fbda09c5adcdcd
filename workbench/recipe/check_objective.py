"""Keys of single objectives: which combinations make no run, and which values say nothing."""

from collections.abc import Iterable

from pydantic import BaseModel

from workbench.recipe.models import RunConfig, TrainingConfig
from workbench.recipe.objectives import foreign_keys, objective_facts
from workbench.recipe.plain_values import PLAIN


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
    if objective_facts(training.objective).whole_distribution:
        return _check_drawn(training, asked="training.uniform_noise" not in foreign)
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


def _check_drawn(training: TrainingConfig, *, asked: bool) -> str | None:
    """What is wrong where noise puts random tokens in the place of others, or None.

    Args:
        asked: whether the recipe says how many.
    """
    share, weighting = training.uniform_noise, training.loss_weighting
    objective = f'training.objective = "{training.objective}"'
    if asked and share is None:
        return (
            f"{objective} needs training.uniform_noise, the share of random tokens among all "
            "halfway, such as 0.1."
        )
    if asked and share == 1:
        return (
            f"training.uniform_noise = {share:g}: expected less than 1, since at the end all "
            "tokens are masked. An objective without masks is `uniform`."
        )
    if share != 0 and weighting not in ("elbo_t", "clamped"):
        return (
            f'training.loss_weighting = "{weighting}" is of masked tokens alone: {objective} takes '
            '"elbo_t", its bound, or "clamped".'
        )
    return None


def without_plain(config: RunConfig) -> RunConfig:
    """The configuration without keys that change nothing in its run."""
    training = config.training
    keys = [key for key in PLAIN if not key.startswith("labels.")]
    plain = [key for key in keys if _value(config, key) == PLAIN[key]]
    if "training.input_mask" not in foreign_keys(training.objective) and not training.input_mask:
        # Clean inputs have no noise to draw several times.
        plain += ["training.mask_aux_weight", "training.noise_samples"]
    return without_keys(config, plain)


def without_keys(config: RunConfig, keys: Iterable[str]) -> RunConfig:
    """The configuration with None in the place of some dotted keys' values."""
    for key in keys:
        table, name = key.split(".")
        part: BaseModel = getattr(config, table)
        config = config.model_copy(update={table: part.model_copy(update={name: None})})
    return config


def _value(config: RunConfig, key: str) -> object:
    table, name = key.split(".")
    return getattr(getattr(config, table), name)


def _divisors(n: int) -> str:
    found = [d for d in range(1, n + 1) if n % d == 0]
    return ", ".join(map(str, found if len(found) <= 8 else [*found[:7], n]))
