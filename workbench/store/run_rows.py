"""One run as the store wants it: its row, and its records where they have changed."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import InputError
from workbench.runs import RunFolder
from workbench.store.reading import deduplicated, empty_records, read_records


@dataclass(frozen=True)
class RunRows:
    """What `read_run` found."""

    run: dict[str, Any]
    source: str
    records: pl.DataFrame | None
    """None where the store has this source already."""
    problems: list[str]


def read_run(run: RunFolder, known: str | None) -> RunRows:
    """Read a run; seal its records first, if it has finished.

    Args:
        known: the source that the store has read it from last.

    Raises:
        InputError: a file is damaged beyond use.
        KeyError, TypeError, AttributeError: the configuration is not one of a run.
    """
    row = _run_row(run)
    problems: list[str] = []
    if row["state"] == "finished" and not run.sealed_path.exists():
        problems += _seal(run)
    path = run.sealed_path if run.sealed_path.exists() else run.records_path
    files = [one for one in (path, run.evaluations_path) if one.exists()]
    if not files:
        return RunRows(row, "", None, problems)
    source = "+".join(_signature(one) for one in files)
    if source == known:
        return RunRows(row, source, None, problems)
    records = _read_trained(run, path, problems) if path in files else empty_records()
    if run.evaluations_path in files:
        reading = read_records(run.evaluations_path)
        problems += reading.problems
        records = pl.concat([records, deduplicated(reading.frame)], how="vertical_relaxed")
    return RunRows(row, source, records, problems)


def _signature(path: Path) -> str:
    stat = path.stat()
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"


def _read_trained(run: RunFolder, path: Path, problems: list[str]) -> pl.DataFrame:
    """What training measured, from the sealed file or else from the JSON lines."""
    if path == run.sealed_path:
        try:
            return pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            if not run.records_path.exists():
                raise InputError(
                    f"{path}: cannot be read ({error}); the run is left out. Import it again."
                ) from None
            # The JSONL stays beside it for the whole of a trained run's life.
            problems.append(f"{path}: cannot be read ({error}); read records.jsonl instead.")
    reading = read_records(run.records_path)
    problems += reading.problems
    return deduplicated(reading.frame)


def _seal(run: RunFolder) -> list[str]:
    """Write a finished run's records as Parquet, complete or not at all."""
    if not run.records_path.exists():
        return []
    reading = read_records(run.records_path)
    temporary = run.sealed_path.with_name(f".{run.sealed_path.name}.{os.getpid()}")
    try:
        deduplicated(reading.frame).write_parquet(temporary)
        os.replace(temporary, run.sealed_path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        return [*reading.problems, f"{run.sealed_path}: cannot be written: {error.strerror}."]
    return reading.problems


def _run_row(run: RunFolder) -> dict[str, Any]:
    document, status = run.config_json(), run.status()
    config, derived = document["config"], document["derived"]
    training, data, model = config["training"], config["data"], config["model"]
    provenance = None
    if run.provenance_path.exists():
        provenance = run.provenance_path.read_text()
    return {
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
        "config": json.dumps(config),
        "provenance": provenance,
        "data_fingerprint": document["data"].get("fingerprint"),
        "parent": document.get("parent"),
        "state": status.state,
        "attempts": status.attempts,
        "steps_done": status.step,
        "error": status.error,
        "imported": document.get("imported") is True,
    }
