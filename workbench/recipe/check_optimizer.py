"""Checks of how a run is optimised."""

from workbench.metrics import AVERAGES
from workbench.recipe.models import RunConfig, resolved_model


def check_optimizer(config: RunConfig) -> str | None:
    """What is wrong with the optimizer, its rates or its schedule, or None."""
    for check in (_decay, _rates, _muon, _averages, _parametrization):
        if problem := check(config):
            return problem
    return None


def nothing_to_average(config: RunConfig) -> str | None:
    """What is wrong with the stable phase of a resolved run, or None."""
    training = config.training
    first, last = training.warmup_steps or 0, config.steps_before_decay
    if training.average != "stable" or last > first:
        return None
    return (
        f'training.average = "stable": there is no stable phase. The warm-up ends at step {first} '
        f"and the decay begins after step {last} of {config.steps}. Give fewer "
        "training.warmup_steps or a smaller training.decay_fraction."
    )


def unread_keys(config: RunConfig) -> list[str]:
    """Dotted keys of other optimizers and parametrizations than a run's: with them it is the same
    run, so that a sweep can go over both."""
    found = []
    if config.training.optimizer != "muon":
        found += ["training.muon_momentum", "training.muon_scaling"]
    if config.model.parametrization != "mup":
        found += ["model.base_width"]
    return found


def _decay(config: RunConfig) -> str | None:
    training = config.training
    if training.min_lr_ratio == 0 and training.decay in (None, "exponential"):
        return (
            "training.min_lr_ratio = 0: an exponential decay never gets there. Give a share above "
            '0, or training.decay = "linear", "cosine" or "1-sqrt".'
        )
    return None


def _rates(config: RunConfig) -> str | None:
    if config.training.head_lr is not None and resolved_model(config.model).tied:
        return (
            "training.head_lr: the output layer is the embedding's matrix (model.tied). "
            "Give training.embedding_lr, or model.tied = false."
        )
    return None


def _muon(config: RunConfig) -> str | None:
    """TorchTitan 0.3.0's DistMuon takes a matrix that FSDP2 alone has cut, and torch's Muon takes
    no stacks of matrices, as experts are."""
    if config.training.optimizer != "muon":
        return None
    if resolved_model(config.model).moe_experts is not None:
        return (
            'training.optimizer = "muon" needs a dense model: it takes matrices, and '
            "model.moe_experts makes stacks of them. Leave one of the two out."
        )
    if config.parallelism.tensor > 1:
        return (
            f'training.optimizer = "muon" does not go with parallelism.tensor = '
            f"{config.parallelism.tensor}: it needs whole matrices, and gathers those that "
            "parallelism.shard cuts. Use parallelism.shard instead."
        )
    return None


def _averages(config: RunConfig) -> str | None:
    """Their metrics end as those of a set of the same name would."""
    training = config.training
    if training.ema is None and training.average is None:
        return None
    for one in config.data.validation_extra or ():
        if one.name in AVERAGES:
            return (
                f'data.validation_extra: name = "{one.name}" is what metrics of averaged weights '
                "end in (training.ema, training.average). Give the set another name."
            )
    return None


def _parametrization(config: RunConfig) -> str | None:
    model = config.model
    if model.parametrization != "mup":
        return None
    if model.base_width is None:
        return (
            'model.parametrization = "mup" needs model.base_width: the width at which rates and '
            "initial weights are those of the recipe."
        )
    if resolved_model(model).moe_experts is not None:
        return (
            'model.parametrization = "mup" needs a dense model: how a router follows the width is '
            "not settled. Leave model.moe_experts out."
        )
    return None
