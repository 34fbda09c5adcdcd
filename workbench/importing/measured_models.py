"""A checkpoint of other software that was measured here, as an imported run."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.importing.folders import check_folders, write_run
from workbench.importing.identity import ImportedRun
from workbench.importing.join_study import check_name, join_study, read_study
from workbench.runs.evaluations import Evaluated, record_evaluations
from workbench.runs.files import check_writable
from workbench.runs.folder import CONFIG_SCHEMA, RunFolder
from workbench.store import ingest
from workbench.store.read_records import empty_records

STUDY = "models"
"""The study of checkpoints where none is named."""


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint."""

    name: str
    """`hf:` and a folder or a repository."""
    revision: str | None
    digests: dict[str, str]
    """SHA-256 of its files: config.json, the weights, and the code that was run."""
    reading: dict[str, Any]
    """Its tokenizer and its special ids: which ids it sees for a text."""
    objective: str
    n_params: int
    data: dict[str, Any]
    """Keys of `[data]` that decide its numbers."""
    fingerprint: str | None
    """Of the held-out text."""
    trained_tokens: int | None = None
    unique_tokens: int | None = None


def record_checkpoint(
    results: Path, study: str | None, checkpoint: Checkpoint, numbers: list[Evaluated]
) -> tuple[str, list[str]]:
    """Save what was measured of a checkpoint as an imported run of a study; measured again, the
    later number stands. Its id is a hash of the files, of how it reads text (so, of MASK), of the
    objective and of the held-out text.

    Args:
        study: its name, `STUDY` where None; one that is there gets the run besides its own.

    Returns:
        The run's id, and notes.

    Raises:
        InputError: no study can have the name.
        WorkbenchError: the results folder cannot be written, or the store stayed locked.
    """
    study = check_name(study or STUDY)
    read_study(results, study)
    folder = RunFolder(results / "runs" / _run(checkpoint).run_id)
    run = _run(_as_known(checkpoint, folder))
    check_folders(results, [run])
    check_writable(results)
    write_run(results, run)
    record_evaluations(folder, None, numbers)
    question = "How do published models score?"
    notes = join_study(results, study, [run.run_id], question, "measured by workbench eval")
    return run.run_id, [*notes, *ingest(results, run_ids=[run.run_id]).problems]


def _as_known(checkpoint: Checkpoint, folder: RunFolder) -> Checkpoint:
    """The checkpoint with the tokens that were given when it was measured before."""
    if not folder.config_path.exists():
        return checkpoint
    before = folder.config_json()
    known = {
        "trained_tokens": before["derived"].get("total_tokens"),
        "unique_tokens": before["config"]["data"].get("unique_tokens"),
    }
    missing = {name: value for name, value in known.items() if getattr(checkpoint, name) is None}
    return replace(checkpoint, **missing)


def _run(checkpoint: Checkpoint) -> ImportedRun:
    tokens, unique = checkpoint.trained_tokens, checkpoint.unique_tokens
    data = checkpoint.data | ({} if unique is None else {"unique_tokens": unique})
    config = {
        "training": {"objective": checkpoint.objective},
        "data": data,
        "model": {name: value for name, value in checkpoint.reading.items() if name == "mask_id"},
        "labels": {"model": checkpoint.name},
    }
    files, reading = sorted(checkpoint.digests.items()), sorted(checkpoint.reading.items())
    identity = [files, reading, config["training"], checkpoint.data]
    text = json.dumps([*identity, checkpoint.fingerprint], sort_keys=True)
    run_id = hashlib.sha256(f"measured\n{text}".encode()).hexdigest()[:12]
    document = {
        "schema": CONFIG_SCHEMA,
        "run_id": run_id,
        "imported": True,
        "parent": None,
        "data": {"fingerprint": checkpoint.fingerprint},
        "config": config,
        "derived": {
            "n_params": checkpoint.n_params,
            "n_params_non_embedding": None,
            "total_tokens": tokens,
            "steps": None,
            "epochs": tokens / unique if tokens and unique else None,
            "train_flops": 6.0 * checkpoint.n_params * tokens if tokens else None,
        },
    }
    provenance = {
        "source": {
            "file": checkpoint.name,
            "revision": checkpoint.revision,
            "files_sha256": checkpoint.digests,
            "reading": checkpoint.reading,
        },
        **({"flops": "6 x n_params x tokens"} if tokens else {}),
    }
    return ImportedRun(run_id, document, provenance, empty_records())
