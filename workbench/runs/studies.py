"""Studies of a results folder: their files, and the runs that belong to them."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.runs.document import is_plain_id
from workbench.runs.files import parse_json, read_bytes
from workbench.runs.folder import RunFolder, list_runs


def read_study(path: Path) -> dict[str, Any]:
    """The content of a study's file.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is not that of this study, or cannot be read.
    """
    try:
        return _checked(parse_json(read_bytes(path)), path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path}: not a study ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a study ({error}).") from None


def _checked(document: Any, path: Path) -> dict[str, Any]:
    if not isinstance(document, dict) or document.get("name") != path.stem:
        raise ValueError(f'no "name": "{path.stem}"')
    run_ids = document.get("run_ids")
    if not isinstance(run_ids, list):
        raise ValueError("no list of run_ids")
    for run_id in run_ids:
        if not is_plain_id(run_id):
            raise ValueError(f"{run_id!r:.80} is no run's id")
    texts = (document.get(name) for name in ("question", "source", "recipe"))
    if not all(isinstance(text, str | None) for text in texts):
        raise ValueError("its question, source or recipe is no text")
    if not isinstance(document.get("compare"), dict | None):
        raise ValueError("compare is no table")
    return document


def imported_runs(results: Path, study: str) -> list[str]:
    """Ids of a study's runs whose numbers were imported, in the study's order.

    What cannot be read is left out: it is reported where it is ingested.
    """
    imported = []
    for run_id in _study_runs(results, study):
        with suppress(InputError):
            if RunFolder(results / "runs" / run_id).is_imported():
                imported.append(run_id)
    return imported


def _study_runs(results: Path, study: str) -> list[str]:
    """Ids as the study's file lists them; none where it cannot be read."""
    try:
        return list(read_study(results / "studies" / f"{study}.json")["run_ids"])
    except (FileNotFoundError, InputError):
        return []


def extended_runs(results: Path, study: str, parents: Iterable[str]) -> list[str]:
    """Ids of a study's runs that go on from `parents`, or from such runs, in the study's order."""
    known, extended = set(parents), []
    for run_id in _study_runs(results, study):
        with suppress(InputError):
            if RunFolder(results / "runs" / run_id).config_json().get("parent") in known:
                known.add(run_id)
                extended.append(run_id)
    return extended


def studies_of(results: Path) -> dict[str, list[str]]:
    """Run ids by study, from the study files."""
    studies = {}
    for path in sorted((results / "studies").glob("*.json")):
        try:
            study = read_study(path)
        except FileNotFoundError:  # a link to nowhere, or removed this moment
            if not os.path.lexists(path):
                continue
            raise InputError(f"{path}: not a study (is a link, which is not followed).") from None
        studies[study["name"]] = study["run_ids"]
    return studies


def known_studies(studies: dict[str, list[str]]) -> str:
    return f"Studies here: {', '.join(studies) or 'none'}."


def targets(results: Path, *names: str) -> list[RunFolder]:
    """The runs that studies' names, run ids or beginnings of run ids stand for, each once.

    Raises:
        InputError: no study or run is called so, or several runs begin so.
    """
    studies = studies_of(results)
    run_ids: dict[str, None] = {}
    for name in names:
        if name in studies:
            run_ids |= dict.fromkeys(studies[name])
        elif any(name and run.run_id.startswith(name) for run in list_runs(results)):
            run_ids[find_run(results, name).run_id] = None
        else:
            raise InputError(
                f"no study or run {name}{suggestion(name, studies) or '.'} {known_studies(studies)}"
            )
    return [RunFolder(results / "runs" / run_id) for run_id in run_ids]


def together(names: Iterable[str]) -> str:
    """What several studies or runs are called where one name is needed, of a job or a report."""
    return "-and-".join(names)


def find_run(results: Path, name: str) -> RunFolder:
    """The run of an id, or of the beginning of one.

    Raises:
        InputError: no run, or several, are called so.
    """
    runs = {run.run_id: run for run in list_runs(results)}
    return runs[chosen_run(list(runs), name, results)]


def chosen_run(runs: Sequence[str], name: str, results: Path) -> str:
    """The one of run ids that a name is, or begins.

    Args:
        results: where the runs are, for the message.

    Raises:
        InputError: no run, or several, are called so.
    """
    if not name.strip():
        raise InputError("a run's id is empty: give an id, or the beginning of one.")
    if name in runs:
        return name
    matching = [run_id for run_id in runs if name and run_id.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        more = f" and {len(matching) - 8} more" if len(matching) > 8 else ""
        raise InputError(
            f"run {name}: {', '.join(matching[:8])}{more} begin so. Give more of the id."
        )
    if not runs:
        raise InputError(
            f"there is no run {name}: there are no runs in {results}. `workbench run` trains them."
        )
    raise InputError(
        f"there is no run {name} in {results}{suggestion(name, runs) or '.'} "
        '`workbench sql "FROM runs"` lists the runs.'
    )
