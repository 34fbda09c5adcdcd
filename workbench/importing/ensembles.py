"""An ensemble of runs that was measured here, as a run of its own.

It is trained nowhere: like imported runs it has numbers and no checkpoint. Its configuration is its
members', without the seed of training and with `labels.ensemble_of`, the number of members; tokens
and epochs are those that each member saw, FLOPs those of all members together.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.importing.folders import check_folders, write_run
from workbench.importing.identity import ImportedRun
from workbench.importing.join_study import check_name, read_study, study_path
from workbench.metrics import PROTOCOL
from workbench.runs.evaluations import Evaluated, record_evaluations
from workbench.runs.files import check_writable, write_json
from workbench.runs.folder import RunFolder
from workbench.runs.studies import studies_of
from workbench.store import ingest
from workbench.store.read_records import empty_records

ENDING = "-ensembles"
"""What the study of ensembles is called beside that of their members."""


@dataclass(frozen=True)
class RecordedEnsemble:
    run_id: str
    study: str
    notes: list[str]


def record_ensemble(
    results: Path,
    study: str | None,
    members: list[RunFolder],
    numbers: Mapping[int, list[Evaluated]],
) -> RecordedEnsemble:
    """Save what was measured of an ensemble, in a study beside that of its members; measured again,
    the later number stands. Its id is a hash of theirs.

    The study has the runs of all studies of the members too, so that an ensemble is compared with
    any of them, and those studies stay as they are.

    Args:
        study: its name; by default that of the first member's first study, and `ENDING`.
        members: runs that differ in their seed of training alone.
        numbers: those of each step.

    Raises:
        InputError: no study can have the name, or one of another recipe has it.
        WorkbenchError: the results folder cannot be written, or the store stayed locked.
    """
    own = _studies(results, members)
    study = check_name(study or (f"{own[0]}{ENDING}" if own else ENDING.strip("-")))
    before = read_study(results, study)
    if study in own or (before or {}).get("recipe"):
        raise InputError(
            f"--study {study}: is a study of trained runs. Ensembles are in one of their own: give "
            "another name, or leave --study out."
        )
    run = _run(members)
    check_folders(results, [run])
    check_writable(results)
    write_run(results, run)
    folder = RunFolder(results / "runs" / run.run_id)
    for step, answers in numbers.items():
        record_evaluations(folder, step, answers)
    document = _document(results, study, own, before, run.run_id)
    if document != before:
        study_path(results, study).parent.mkdir(parents=True, exist_ok=True)
        write_json(study_path(results, study), document)
    # The members' runs are in the store already; the study that lists them may not be.
    notes = ingest(results, run_ids=[run.run_id]).problems
    return RecordedEnsemble(run.run_id, study, notes)


def _studies(results: Path, members: list[RunFolder]) -> list[str]:
    """Those that have a member, other than such of ensembles: of the first member first."""
    every = {name: runs for name, runs in studies_of(results).items() if not name.endswith(ENDING)}
    ordered = [name for run in members for name in sorted(every) if run.run_id in every[name]]
    return list(dict.fromkeys(ordered))


def _document(
    results: Path, study: str, own: list[str], before: dict[str, Any] | None, run_id: str
) -> dict[str, Any]:
    """The study's file: the runs of all these studies, and its ensembles."""
    first = (read_study(results, own[0]) if own else None) or {}
    document = {
        "name": study,
        "question": first.get("question"),
        "source": "ensembles measured by workbench eval",
        "recipe": "",
        "compare": first.get("compare"),
        **(before or {}),
    }
    theirs = [one for name in own for one in (read_study(results, name) or {})["run_ids"]]
    ids = [*document.get("run_ids", []), *theirs, run_id]
    return document | {"run_ids": list(dict.fromkeys(ids))}


def _run(members: list[RunFolder]) -> ImportedRun:
    documents = [run.config_json() for run in members]
    first = documents[0]
    config = json.loads(json.dumps(first["config"]))
    config["training"].pop("seed", None)
    config["labels"] = config.get("labels", {}) | {"ensemble_of": len(members)}
    ids = sorted(run.run_id for run in members)
    run_id = hashlib.sha256(f"ensemble\n{json.dumps(ids)}".encode()).hexdigest()[:12]
    derived = dict(first["derived"])
    derived["total_tokens"] = config["training"]["total_tokens"]
    derived["train_flops"] = sum(document["derived"]["train_flops"] for document in documents)
    document = {
        "schema": first["schema"],
        "run_id": run_id,
        "imported": True,
        "parent": None,
        "protocol": PROTOCOL,
        "data": dict(first["data"]),
        "config": config,
        "derived": derived,
    }
    source = {"file": f"ensemble of {' + '.join(ids)}", "members": ids}
    return ImportedRun(run_id, document, {"source": source}, empty_records())
