"""A study's file: which runs belong to it, those included that no recipe names."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.runs import RunFolder


def check_study(document: Any, path: Path) -> dict[str, Any]:
    """The content of a study's file.

    Raises:
        ValueError: not that of this study.
    """
    if not isinstance(document, dict) or document.get("name") != path.stem:
        raise ValueError(f'no "name": "{path.stem}"')
    run_ids = document.get("run_ids")
    if not isinstance(run_ids, list) or not all(isinstance(one, str) for one in run_ids):
        raise ValueError("no list of run_ids")
    return document


def imported_runs(results: Path, study: str) -> list[str]:
    """Ids of a study's runs whose numbers come from elsewhere, in the study's order.

    What cannot be read is left out: it is reported where it is ingested.
    """
    found = []
    for run_id in _study_runs(results, study):
        with suppress(InputError):
            if RunFolder(results / "runs" / run_id).is_imported():
                found.append(run_id)
    return found


def _study_runs(results: Path, study: str) -> list[str]:
    """Ids as the study's file lists them; none where it cannot be read."""
    path = results / "studies" / f"{study}.json"
    try:
        return [str(i) for i in json.loads(path.read_text(encoding="utf-8"))["run_ids"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def extended_runs(results: Path, study: str, parents: Iterable[str]) -> list[str]:
    """Ids of a study's runs that go on from `parents`, or from such runs, in the study's order."""
    known, found = set(parents), []
    for run_id in _study_runs(results, study):
        with suppress(InputError):
            if RunFolder(results / "runs" / run_id).config_json().get("parent") in known:
                known.add(run_id)
                found.append(run_id)
    return found
