"""Checks between the keys of `[data]` that need more than one corpus, or a score."""

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.bucket_paths import bucket_problem
from workbench.recipe.data import QUALITY_SOURCES, TIERS, DataConfig, mixture_name
from workbench.recipe.mixture_shares import MAX_PERIOD, apportion, whole_weights
from workbench.recipe.models import RunConfig
from workbench.recipe.text_fields import template

RESERVED_SETS = ("train", "held_out")


def data_problem(config: RunConfig) -> str | None:
    """What is wrong with the sources of a run's text, or None."""
    data = config.data
    return (
        _text_key_problem(data)
        or _quality_problem(data)
        or _mixture_problem(data)
        or _anneal_problem(config)
        or _extra_problem(data)
        or _memorisation_problem(config)
    )


def _text_key_problem(data: DataConfig) -> str | None:
    keys = [data.text_key, data.anneal.text_key if data.anneal else None]
    keys += [one.text_key for one in data.mixture or ()]
    keys += [one.text_key for one in data.validation_extra or ()]
    for key in keys:
        try:
            template(key or data.text_key)
        except InputError as error:
            return str(error)
    return None


def _quality_problem(data: DataConfig) -> str | None:
    given = [key for key in QUALITY_SOURCES if getattr(data, key) is not None]
    if data.quality is None and given:
        if data.quality_bucket is not None:
            return (
                f'data.quality_bucket = "{data.quality_bucket}" names buckets for data.quality, '
                'which is not given. Set data.quality to one of them or "all", or leave it out.'
            )
        return (
            f"data.{given[0]} scores documents for data.quality, which is not given. Set "
            'data.quality to "low", "medium", "high" or "all", or leave the score out.'
        )
    tiers = ("all", *TIERS)
    if data.quality is not None and data.quality_bucket is None and data.quality not in tiers:
        return (
            f'data.quality = "{data.quality}": tiers of scores are {", ".join(tiers)}'
            f"{suggestion(data.quality, tiers) or '.'} A corpus's own buckets need "
            "data.quality_bucket, which says where they are named."
        )
    if data.quality not in (None, "all") and len(given) != 1:
        found = f"{' and '.join(given)} are given" if given else "none is given"
        return (
            f'data.quality = "{data.quality}" needs one source: scores of data.quality_key, '
            'data.quality_scores or data.quality_score = "builtin", or names of '
            f"data.quality_bucket; {found}."
        )
    if data.quality_bucket is not None and (problem := bucket_problem(data.quality_bucket)):
        return problem
    if data.quality is not None and data.mixture:
        return "data.quality and data.mixture: tiers are of one corpus. Leave one of them out."
    return None


def _mixture_problem(data: DataConfig) -> str | None:
    if data.mixture is None:
        return None
    if not data.mixture:
        return "data.mixture is empty: give data.corpus, or [[data.mixture]] tables."
    if data.corpus != mixture_name(data.mixture):
        return (
            f'data.corpus = "{data.corpus}" beside data.mixture: the corpora of a mixture all '
            "stand in data.mixture. Leave data.corpus out."
        )
    sources = [(one.corpus, one.document, one.text_key, one.suffixes) for one in data.mixture]
    if len(set(sources)) < len(sources):
        return "data.mixture names the same corpus twice: add the weights up."
    weights = [one.weight for one in data.mixture]
    if sum(whole_weights(weights)) > MAX_PERIOD:
        return (
            f"data.mixture: weights {', '.join(f'{weight:g}' for weight in weights)} have too many "
            "digits. Four are enough."
        )
    for one, count in zip(
        data.mixture, apportion(data.unique_tokens // data.seq_len, weights), strict=True
    ):
        if count == 0:
            return (
                f'data.mixture: "{one.corpus}" with weight {one.weight:g} gets none of the '
                f"{data.unique_tokens // data.seq_len} unique windows. Raise data.unique_tokens "
                "or the weight."
            )
    share = data.validation_tokens // len(data.mixture)
    if share < data.seq_len:
        return (
            f"data.validation_tokens = {data.validation_tokens}: fewer than one window of "
            f"data.seq_len = {data.seq_len} for each corpus of the mixture."
        )
    return None


def _anneal_problem(config: RunConfig) -> str | None:
    anneal, training = config.data.anneal, config.training
    if anneal is None:
        return None
    if anneal.unique_tokens < config.data.seq_len:
        return (
            f"data.anneal.unique_tokens = {anneal.unique_tokens}: fewer than one window of "
            f"data.seq_len = {config.data.seq_len}."
        )
    fraction = training.decay_fraction if anneal.fraction is None else anneal.fraction
    total = training.total_tokens or round((training.epochs or 0) * config.data.unique_tokens)
    steps = total // config.tokens_per_step
    if not 1 <= round(steps * fraction) < steps:
        key = "training.decay_fraction" if anneal.fraction is None else "data.anneal.fraction"
        return (
            f"{key} = {fraction:g}: {round(steps * fraction)} of {steps} steps would anneal; "
            "at least one, and not all."
        )
    return None


def _extra_problem(data: DataConfig) -> str | None:
    names = [one.name for one in data.validation_extra or ()]
    for name in names:
        if name in RESERVED_SETS:
            return f'data.validation_extra: the name "{name}" is taken. Choose another.'
        if names.count(name) > 1:
            return f'data.validation_extra: two sets are called "{name}".'
    for one in data.validation_extra or ():
        tokens = one.tokens or data.validation_tokens
        if tokens < data.seq_len:
            return (
                f'data.validation_extra "{one.name}": tokens = {tokens}: fewer than one window of '
                f"data.seq_len = {data.seq_len}."
            )
    return None


def _memorisation_problem(config: RunConfig) -> str | None:
    if config.evaluation.memorisation is None:
        return None
    if config.data.seq_len < 4:
        return (
            f"evaluation.memorisation needs data.seq_len of 4 or more, not {config.data.seq_len}."
        )
    return None
