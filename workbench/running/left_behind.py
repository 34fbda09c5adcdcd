"""What is said of runs that a study loses as its recipe, text or tokenizer changes."""

import json
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.recipe import run_config
from workbench.recipe.sweep import dotted
from workbench.running.progress import label
from workbench.runs.folder import GOES_ON, RunFolder
from workbench.runs.studies import studies_of

_MOST_NAMED = 5


def note_left_behind(results: Path, study: str, listed: Collection[str]) -> None:
    """Say on stderr which runs with records are no longer a study's, by accident perhaps: what
    they were, where their records stay, and how they are looked at.

    Args:
        study: its name; its file still has the runs of before.
        listed: the ids of the runs that it has now.
    """
    with suppress(WorkbenchError):  # of a damaged file, which is written anew
        before = (RunFolder(results / "runs" / i) for i in studies_of(results).get(study, ()))
        left = [
            run
            for run in before
            if run.run_id not in listed and run.config_path.exists() and run.status().step > 0
        ]
        if left:
            now = _values([RunFolder(results / "runs" / run_id) for run_id in listed])
            print(_text(results, study, left, now), file=sys.stderr)


def _text(results: Path, study: str, left: list[RunFolder], now: dict[str, set[str]]) -> str:
    states = [run.status().state for run in left]
    unfinished = sum(state in GOES_ON for state in states)
    are, rest = ("is" if len(left) == 1 else "are"), len(left) - _MOST_NAMED
    lines = [
        f"Note: {len(left)} earlier run{'s' * (len(left) > 1)} {are} no longer part of {study}, "
        f"since its recipe, text or tokenizer has changed ({len(left) - unfinished} ended, "
        f"{unfinished} unfinished):",
        *(
            f"  {_configuration(run, now)}, {state}"
            for run, state in zip(left[:_MOST_NAMED], states, strict=False)
        ),
        *([f"  and {rest} more."] if rest > 0 else []),
        f"  Their records stay in {results / 'runs'}. `workbench show {left[0].run_id}` shows a "
        "run; the recipe as it was, under another study.name, has all of them in a study again, "
        "without training what has finished.",
    ]
    if unfinished:
        lines.append("  `workbench retry RUN` takes one that is unfinished to its end.")
    return "\n".join(lines)


def _values(runs: list[RunFolder]) -> dict[str, set[str]]:
    """The values that some runs have of each key."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for key, value in dotted(run.config_json()["config"]).items():
            values.setdefault(key, set()).add(json.dumps(value))
    return values


def _configuration(run: RunFolder, now: dict[str, set[str]]) -> str:
    """A run in a line, with its values that none of the study's runs has now."""
    document = run.config_json()
    text = run.run_id
    with suppress(WorkbenchError, KeyError, ValueError):  # of a version whose keys were others
        text = label(run.run_id, document, run_config(document))
    own = [
        f"{key} = {json.dumps(value)}"
        for key, value in dotted(document["config"]).items()
        if json.dumps(value) not in now.get(key, ())
    ]
    return ", ".join([text, *own[:4], *(["..."] if len(own) > 4 else [])])
