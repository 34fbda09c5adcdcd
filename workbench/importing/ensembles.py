"""An ensemble of runs that was measured here, as a run of its own.

It is trained nowhere: like imported runs it has numbers and no checkpoint. Its configuration is its
members', with the lowest of their seeds of training, and `labels.ensemble_of`, how many they are;
tokens and epochs are those that each member saw, FLOPs those of all members together.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError, WorkbenchError
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
_MEMBERS, _ENSEMBLES = "ensembles_of", "ensembles"
"""Keys of the file of a study of ensembles: the studies of their members, and their ids."""


@dataclass(frozen=True)
class EnsembleRun:
    """Where the numbers of an ensemble will be saved."""

    results: Path
    run: ImportedRun
    document: dict[str, Any]
    """Of the study, as it will be."""

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def study(self) -> str:
        return str(self.document["name"])

    def record(self, numbers: Mapping[int, list[Evaluated]]) -> list[str]:
        """Save the numbers of each step; measured again, the later number stands.

        Returns:
            Notes on what could not be brought into the store.

        Raises:
            WorkbenchError: the results folder cannot be written.
        """
        write_run(self.results, self.run)
        for step, answers in numbers.items():
            record_evaluations(RunFolder(self.results / "runs" / self.run_id), step, answers)
        path = study_path(self.results, self.study)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.document)
        try:
            # The members' runs are in the store already; the study that lists them may not be.
            return ingest(self.results, run_ids=[self.run_id]).problems
        except WorkbenchError as error:  # the numbers are in the folder
            ending = "`workbench ingest` brings the numbers in."
            return [f"saved, and not in the store yet: {error} {ending}"]


def ensemble_run(results: Path, study: str | None, members: list[RunFolder]) -> EnsembleRun:
    """The run that an ensemble of these members will be, and its study; nothing is written yet.

    The run's id is a hash of theirs. The study has the runs of all studies of the members too, so
    that an ensemble is compared with any of them, and those studies stay as they are.

    Args:
        study: its name; by default that of the first member's first study, and `ENDING`.
        members: runs that differ in their seed of training alone.

    Raises:
        InputError: no study can have the name, one of trained runs has it, or a member is in
            another ensemble there, with as many members: they would share what their seeds do.
        WorkbenchError: the results folder cannot be written.
    """
    own = _studies(results, members)
    study = check_name(study or (f"{own[0]}{ENDING}" if own else ENDING.strip("-")))
    before = read_study(results, study)
    if before is not None and _MEMBERS not in before:
        raise InputError(
            f"--study {study}: is a study of other runs. Ensembles are in one of their own: give "
            "another name."
        )
    run = _run(members)
    check_folders(results, [run])
    check_writable(results)
    document = _document(results, study, own, before or {}, run.run_id)
    _check_members(results, document, run)
    return EnsembleRun(results, run, document)


def _studies(results: Path, members: list[RunFolder]) -> list[str]:
    """The studies of trained runs that have a member, those of the first member first."""
    every = {
        name: runs
        for name, runs in studies_of(results).items()
        if _MEMBERS not in (read_study(results, name) or {})
    }
    ordered = [name for run in members for name in sorted(every) if run.run_id in every[name]]
    return list(dict.fromkeys(ordered))


def _document(
    results: Path, study: str, own: list[str], before: dict[str, Any], run_id: str
) -> dict[str, Any]:
    """The study's file: the runs that the studies of all members have now, and its ensembles."""
    studies = list(dict.fromkeys([*before.get(_MEMBERS, []), *own]))
    ensembles = list(dict.fromkeys([*before.get(_ENSEMBLES, []), run_id]))
    known = [one for one in (read_study(results, name) for name in studies) if one is not None]
    first = known[0] if known else {}
    trained = [run for one in known for run in one["run_ids"]]
    return {
        "name": study,
        "question": first.get("question"),
        "source": "ensembles measured by workbench eval",
        "recipe": "",
        "compare": first.get("compare"),
        _MEMBERS: studies,
        _ENSEMBLES: ensembles,
        "run_ids": list(dict.fromkeys([*trained, *ensembles])),
    }


def _check_members(results: Path, document: dict[str, Any], run: ImportedRun) -> None:
    """Refuse an ensemble that shares members with another one of its size."""
    members = set(run.provenance["source"]["members"])
    for run_id in document[_ENSEMBLES]:
        folder = RunFolder(results / "runs" / run_id)
        if run_id == run.run_id or not folder.config_path.exists():
            continue
        theirs = set(folder.provenance_json()["source"]["members"])
        if len(theirs) == len(members) and (shared := sorted(members & theirs)):
            raise InputError(
                f"--ensemble: run {shared[0]} is in ensemble {run_id} of study {document['name']}, "
                f"of {len(theirs)} members too. Ensembles that share members are no independent "
                "ones: name other runs, or another --study."
            )


def _run(members: list[RunFolder]) -> ImportedRun:
    documents = [run.config_json() for run in members]
    first = documents[0]
    config = json.loads(json.dumps(first["config"]))
    config["training"]["seed"] = min(one["config"]["training"]["seed"] for one in documents)
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
