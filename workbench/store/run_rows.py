"""One run as rows of the store: its own row, and its records if they have changed."""

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import InputError
from workbench.messages import json_text
from workbench.runs.files import plain_path, replacing, signature
from workbench.runs.folder import RunFolder
from workbench.runs.tables import read_parquet
from workbench.store.metric_names import in_fractions, renamed
from workbench.store.read_records import (
    RECORD_SCHEMA,
    deduplicated,
    empty_records,
    read_records,
    sealed_records,
)
from workbench.store.schema import RUNS


@dataclass(frozen=True)
class RunRows:
    """A run's row and records, as `read_run` returns them."""

    run: dict[str, Any]
    source: str
    records: pl.DataFrame | None
    """None where the store has this source already."""
    problems: list[str]


def read_run(run: RunFolder, known: str | None) -> RunRows:
    """Read a run; seal its records first, if it has finished.

    Args:
        known: the source from which the store last read the run.

    Raises:
        InputError: a file is damaged so that the run cannot be read.
        KeyError, TypeError, AttributeError: the configuration is not one of a run.
    """
    problems: list[str] = []
    row = _run_row(run, problems)
    if row["state"] == "finished" and not run.sealed_path.exists():
        problems += _seal(run)
    path = run.sealed_path if run.sealed_path.exists() else run.records_path
    files = [file for file in (path, run.evaluations_path) if file.exists()]
    if not files:
        if row["state"] == "finished":
            problems.append(f"{run.records_path} is missing, though the run has finished.")
        return RunRows(row, "", None, problems)
    source = "+".join(map(signature, files))
    if source == known:
        return RunRows(row, source, None, problems)
    records = _read_trained(run, path, problems) if path in files else empty_records()
    if run.evaluations_path in files:
        reading = read_records(run.evaluations_path)
        problems += reading.problems
        if row["imported"]:
            reading = replace(reading, frame=_at_the_end(reading.frame, row))
        # What is measured again as training measured it is the same number, and no second one.
        both = pl.concat([records, reading.frame], how="vertical_relaxed")
        records = deduplicated(both)
    if row["imported"]:
        records, _ = in_fractions(records)
    return RunRows(row, source, renamed(records), problems)


def _at_the_end(frame: pl.DataFrame, run: dict[str, Any]) -> pl.DataFrame:
    """Numbers without a step are of a run's last checkpoint: they are at the place where the run's
    row has its training end."""
    place = {"tokens": "total_tokens", "epoch": "epochs", "flops": "train_flops"}
    return frame.with_columns(
        pl.when(pl.col("step").is_null())
        .then(pl.lit(run[theirs], RECORD_SCHEMA[name]))
        .otherwise(pl.col(name))
        .alias(name)
        for name, theirs in place.items()
    )


def _read_trained(run: RunFolder, path: Path, problems: list[str]) -> pl.DataFrame:
    """What training measured, from the sealed file or else from the JSON lines."""
    if path == run.sealed_path:
        try:
            return sealed_records(read_parquet(plain_path(path)))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            if not run.records_path.exists():
                raise InputError(
                    f"{path}: cannot be read ({error}); the run is left out. Import it again."
                ) from None
            # A trained run always has the JSON lines beside the sealed file.
            problems.append(f"{path}: cannot be read ({error}); read records.jsonl instead.")
    reading = read_records(run.records_path)
    problems += reading.problems
    return deduplicated(reading.frame)


def _seal(run: RunFolder) -> list[str]:
    """Write a finished run's records as Parquet in one step; returns the problems found."""
    if not run.records_path.exists():
        return []
    reading = read_records(run.records_path)
    if reading.offset < run.records_path.stat().st_size:
        reading.problems.append(f"{run.records_path}: cut short; read as far as it goes.")
    try:
        with replacing(run.sealed_path) as temporary:
            deduplicated(reading.frame).write_parquet(temporary)
    except (OSError, pl.exceptions.PolarsError) as error:  # a full disk is either
        return [*reading.problems, f"{run.sealed_path}: cannot be written: {error}."]
    return reading.problems


def _run_row(run: RunFolder, problems: list[str]) -> dict[str, Any]:
    document, status = run.config_json(), run.status()
    if document.get("run_id", run.run_id) != run.run_id:
        raise InputError(
            f"{run.config_path}: is that of run {document['run_id']}; the run is left out. Give "
            "the folder its own configuration back, or its own name."
        )
    config, derived = document["config"], document["derived"]
    training, data, model = config["training"], config["data"], config["model"]
    imported = document.get("imported") is True
    return _checked(
        run,
        {
            "run_id": run.run_id,
            "objective": training.get("objective"),
            "n_params": derived.get("n_params"),
            "n_params_non_embedding": derived.get("n_params_non_embedding"),
            "unique_tokens": data.get("unique_tokens"),
            "total_tokens": training.get("total_tokens", derived.get("total_tokens")),
            "epochs": derived.get("epochs"),
            "steps": derived.get("steps"),
            "train_flops": derived.get("train_flops"),
            "seed": training.get("seed"),
            "data_seed": data.get("seed"),
            "size": model.get("size"),
            "corpus": data.get("corpus"),
            "seq_len": data.get("seq_len"),
            "batch_size": training.get("batch_size"),
            "lr": training.get("lr"),
            "weight_decay": training.get("weight_decay"),
            "noise_schedule": training.get("noise_schedule"),
            "loss_weighting": training.get("loss_weighting"),
            "quality": data.get("quality"),
            "input_mask": training.get("input_mask"),
            "dropout": model.get("dropout"),
            "config": json_text(config),
            "provenance": _provenance(run, problems),
            "data_fingerprint": document["data"].get("fingerprint"),
            "parent": document.get("parent"),
            "state": status.state,
            "attempts": status.attempts,
            "steps_done": status.step,
            "error": status.error,
            "imported": imported,
            "protocol": document.get("protocol", None if imported else 1),
        },
    )


def _provenance(run: RunFolder, problems: list[str]) -> str | None:
    try:
        return json_text(run.provenance_json())
    except InputError as error:
        if os.path.lexists(run.provenance_path):
            problems.append(str(error))
        return None  # the numbers can be used without it


_PYTHON: dict[str, tuple[type, ...]] = {
    "BIGINT": (int,), "DOUBLE": (int, float), "BOOLEAN": (bool,), "VARCHAR": (str,), "JSON": (str,),
}  # fmt: skip


def _checked(run: RunFolder, row: dict[str, Any]) -> dict[str, Any]:
    """The row, checked: one value that its column cannot take would make the whole insert fail."""
    for column in RUNS.columns:
        value = row[column.name]
        if column.type == "BIGINT" and isinstance(value, float) and value.is_integer():
            row[column.name] = value = int(value)
        if isinstance(value, float) and not math.isfinite(value):
            row[column.name] = value = None
        if isinstance(value, str):
            row[column.name] = value.encode(errors="replace").decode()
        wrong = not isinstance(value, _PYTHON[column.type])
        wrong = wrong or (isinstance(value, bool) and column.type != "BOOLEAN")
        if value is not None and (wrong or (isinstance(value, int) and abs(value) >= 2**63)):
            raise InputError(
                f"{run.config_path}: {column.name} is {str(value)[:80]!r}; the run is left out."
            )
    return row
