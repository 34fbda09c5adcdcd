"""Mapping TensorBoard tags to our metrics."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.errors import InputError
from workbench.importing.request import Request

_WELL_KNOWN = {
    "val_loss": (
        "lm_loss_validation", "validation_loss", "val_loss", "valid_loss", "eval_loss",
        "lm-loss-validation_lm_loss_validation", "validation_metrics_loss",
        "loss_val", "loss_valid", "loss_validation", "loss_eval",
    ),
    "train_loss": (
        "lm_loss", "train_loss", "training_loss", "lm-loss-training_lm_loss", "train_ce_loss",
        "loss_metrics_global_avg_loss", "loss_train", "loss_training",
    ),
}  # fmt: skip
# What a tag means where no other of the run has a name that says it.
_ALONE = {"loss": "train_loss", "train_loss_step": "train_loss", "val_loss_epoch": "val_loss"}
# The first that a run has counts: LitGPT's `tokens` are those of one device.
_TOKENS = (
    "consumed_tokens", "consumed-tokens", "consumed_train_tokens", "n_tokens_seen", "tokens_seen",
    "num_input_tokens_seen", "throughput_total_tokens", "total_tokens", "num_tokens", "tokens",
    "steps-vs-tokens_y=tokens,x=steps",
)  # fmt: skip
_SAMPLES = (
    "consumed_samples", "consumed-samples", "consumed_train_samples", "samples",
    "steps-vs-samples_y=samples,x=steps",
)  # fmt: skip
# Lightning's place holder for a metric of hyperparameters; the mean over all steps that HF's
# Trainer logs at its end.
_NO_CURVES = ("hp_metric", "train_train_loss")
# Logged against samples or tokens: the steps of such a tag are not optimizer steps.
_OTHER_AXIS = re.compile(r"[ _-]vs\.?[ _-](samples|tokens)")


@dataclass
class Tags:
    """The tags of one run: those to import with their metric's name, and those that count."""

    metrics: dict[str, str] = field(default_factory=dict)
    tokens: str | None = None
    samples: str | None = None
    steps: set[str] = field(default_factory=set)
    """Tags whose steps are optimizer steps."""
    notes: list[str] = field(default_factory=list)


def metric_name(tag: str) -> str:
    """Our name for a tag: a well-known one, else the tag in lower case without blanks."""
    plain = _plain(tag)
    for name, tags in _WELL_KNOWN.items():
        if plain in tags:
            return name
    return plain


def is_token_count(tag: str) -> bool:
    """Whether a tag counts training tokens."""
    return _plain(tag).removeprefix("train_").removeprefix("training_") in _TOKENS


def _plain(tag: str) -> str:
    return re.sub(r"[\s/]+", "_", tag.strip().lower()).strip("_")


def assign_tags(folder: str, tags: list[str], wanted: Mapping[str, str], request: Request) -> Tags:
    """Decide what each tag of a run is.

    Args:
        folder: the run, for messages.
        wanted: our name -> the tag, where the user gave one.
        request: which tags and metrics are to be read.

    Raises:
        InputError: two tags have the same metric, and `wanted` does not choose one.
    """
    chosen = Tags()
    given = {tag: name for name, tag in wanted.items() if tag in tags}
    names = {tag: metric_name(tag) for tag in sorted(tags)}
    for tag, name in names.items():
        alone = _ALONE.get(name)
        if alone and alone not in {*names.values(), *given.values()}:
            names[tag] = alone
    countable = [tag for tag in names if tag not in given and replace(request, only=()).takes(tag)]
    tokens, samples = (_counting(countable, kind) for kind in (_TOKENS, _SAMPLES))
    chosen.tokens = next((tag for tag, name in given.items() if name == "total_tokens"), None)
    if chosen.tokens is None and tokens:
        chosen.tokens = tokens[0]
        if tokens[1:]:
            chosen.notes.append(f"tokens are those of the tag {tokens[0]}, not of {tokens[1]}.")
    chosen.samples = next(iter(samples), None)
    for tag, name in names.items():
        if _OTHER_AXIS.search(tag) and tag not in (*given, *tokens, *samples):
            chosen.notes.append(f"tags against samples or tokens are left out, such as {tag}.")
            continue
        chosen.steps.add(tag)
        if tag in (chosen.tokens, *tokens, *samples) or _plain(tag) in _NO_CURVES:
            continue
        if not request.takes(tag, given.get(tag, name)):
            continue  # its steps count all the same: they tell where the run ended
        if tag not in given and wanted.get(name) in tags:
            chosen.notes.append(f"the tag {tag} is left out: --column gave another.")
        else:
            _add(chosen, folder, tag, given.get(tag, name))
    return chosen


def _counting(tags: Iterable[str], names: Sequence[str]) -> list[str]:
    """The tags that count what has such a name, in the order of the names."""
    plain = {tag: re.sub("^train(ing)?_", "", _plain(tag)) for tag in tags}
    return sorted((tag for tag in tags if plain[tag] in names), key=lambda t: names.index(plain[t]))


def _add(chosen: Tags, folder: str, tag: str, name: str) -> None:
    for other, taken in chosen.metrics.items():
        if taken == name:
            raise InputError(
                f"{folder}: the tags {other} and {tag} are both {name}. Say which is meant: "
                f"--column {name}='{tag}'."
            )
    chosen.metrics[tag] = name
