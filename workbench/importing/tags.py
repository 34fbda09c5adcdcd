"""Mapping TensorBoard tags to our metrics."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from workbench.errors import InputError
from workbench.importing.request import Request

_WELL_KNOWN = {
    "val_loss": (
        "lm_loss_validation", "validation_loss", "val_loss", "valid_loss", "eval_loss",
        "lm-loss-validation_lm_loss_validation",
    ),
    "train_loss": ("lm_loss", "train_loss", "training_loss", "lm-loss-training_lm_loss"),
}  # fmt: skip
_TOKENS = {
    "tokens", "consumed_tokens", "consumed-tokens", "consumed_train_tokens", "tokens_seen",
    "total_tokens", "num_tokens", "steps-vs-tokens_y=tokens,x=steps",
}  # fmt: skip
_SAMPLES = {
    "samples", "consumed_samples", "consumed-samples", "consumed_train_samples",
    "steps-vs-samples_y=samples,x=steps",
}  # fmt: skip
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
    for tag in sorted(tags):
        plain = _plain(tag)
        count = plain.removeprefix("train_").removeprefix("training_")
        if given.get(tag) == "total_tokens":
            chosen.tokens = tag
        elif not request.takes(tag, given.get(tag, metric_name(tag))):
            pass  # its steps count all the same: they tell where the run ended
        elif tag in given:
            _add(chosen, folder, tag, given[tag])
        elif count in _TOKENS:
            chosen.tokens = chosen.tokens or tag
        elif count in _SAMPLES:
            chosen.samples = chosen.samples or tag
        elif _OTHER_AXIS.search(tag):
            chosen.notes.append(f"tags against samples or tokens are left out, such as {tag}.")
            continue
        elif metric_name(tag) in wanted and wanted[metric_name(tag)] in tags:
            chosen.notes.append(f"the tag {tag} is left out: --column gave another.")
        else:
            _add(chosen, folder, tag, metric_name(tag))
        chosen.steps.add(tag)
    return chosen


def _add(chosen: Tags, folder: str, tag: str, name: str) -> None:
    for other, taken in chosen.metrics.items():
        if taken == name:
            raise InputError(
                f"{folder}: the tags {other} and {tag} are both {name}. Say which is meant: "
                f"--column {name}='{tag}'."
            )
    chosen.metrics[tag] = name
