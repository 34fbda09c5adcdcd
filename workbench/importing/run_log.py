"""What a log says of one run, in the form that every format is read into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.importing.request import Request


@dataclass
class RunLog:
    """The numbers that one run logged, under the names that its program gave them."""

    scalars: dict[str, dict[int, float]] = field(default_factory=dict)
    """Tag -> step -> value. What counts tokens or samples is a tag like any other."""
    last: dict[str, float] = field(default_factory=dict)
    """Tag -> value at the end of the run, where the source tells no step: `total_tokens` of the
    facts says where that is."""
    over_tokens: bool = False
    """Whether the steps of all tags are tokens, since the source tells no steps."""
    last_stderr: dict[str, float] = field(default_factory=dict)
    """Tag -> standard error of its value at the end."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the source itself tells of the run: columns of ours that distinguish runs,
    `tokens_per_step`, `tokens_per_sample`, and `total_tokens`, the tokens at its end. Anything else
    labels the run."""
    steps_are_epochs: bool = False
    """Whether a step is an epoch: one pass over the run's unique tokens."""
    files: list[dict[str, str]] = field(default_factory=list)
    """Name and sha256 of what was read, for the provenance."""
    notes: list[str] = field(default_factory=list)
    """What was left out, as sentences that name the file."""


Loaders = Mapping[str, Callable[[], RunLog]]
"""Run name -> reads that run. Reading raises InputError where that run cannot be read, which costs
that run alone."""


@dataclass(frozen=True)
class LogFormat:
    """One kind of log: `formats.py` lists them."""

    name: str
    """For messages, such as "TensorBoard event files"."""
    find: Callable[[Path, Request], Loaders]
    """The runs of a file or folder, or none where that is not of this format. A run's name is its
    path below the source with forward slashes, or the source's own name. Finding reads no more
    than it takes to tell."""
