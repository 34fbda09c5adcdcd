"""What a plug-in declares: its numbers, where its code is, and what must be known without that.

Objectives are declared by `recipe.objectives.ObjectivePlugin`; `recipe.plugins` finds them all.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A declaration: what the workbench must know of a plug-in before its code runs."""

    numbers: int
    """From 1 up. Raise it whenever the plug-in gives other numbers than before: it is part of the
    id of every run that uses the plug-in."""
    code: str
    """Where the code is: "package.module:NAME"."""

    def __post_init__(self) -> None:
        if type(self.numbers) is not int or self.numbers < 1:
            raise ValueError(f"numbers = {self.numbers!r}: expected a whole number from 1 up.")
        if not (isinstance(self.code, str) and re.fullmatch(r"[\w.]+:\w+", self.code)):
            raise ValueError(f'code = {self.code!r}: expected "package.module:NAME".')


class LawPlugin(Plugin):
    """A scaling law. The code is a `laws.law.Law` or `Procedure` of the entry point's name."""


class CorpusPlugin(Plugin):
    """A corpus: `data.corpus = "NAME"` or `"NAME:ARGUMENT"`.

    The code is a function of (argument, document=, text_key=, quality_key=) that returns a
    `data.corpora.Corpus`. The argument is "" where the recipe gives none.
    """


@dataclass(frozen=True, kw_only=True)
class TaskPlugin(Plugin):
    """An evaluation task. The code is a function of `evaluation.tasks.TaskInputs` that returns an
    `evaluation.tasks.Task`. `task_questions` and `task_draws` of `[evaluation]` are for it too."""

    files: tuple[str, ...] = ()
    """Names of the files that `evaluation.task_files` gives it, the needed one first."""
    shots: bool = False
    """Whether it reads `evaluation.shots`."""


@dataclass(frozen=True, kw_only=True)
class SamplerPlugin(Plugin):
    """A sampler. The code is a `generation.settings.Fill` function; the fields are those of
    `generation.samplers.Sampler`."""

    objectives: tuple[str, ...]
    reads: tuple[str, ...] = ()
    one_by_one: bool = False
