"""Grouping points into runs, with their ids and the documents of their folders."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from workbench.errors import InputError
from workbench.importing.columns import RUN_LEVEL
from workbench.importing.points import Points
from workbench.runs.folder import CONFIG_SCHEMA
from workbench.store.read_records import RECORD_SCHEMA, with_all_columns

MOST_RUNS = 10_000
_CONFIG_TABLES = {
    "objective": "training", "seed": "training", "input_mask": "training", "lr": "training",
    "weight_decay": "training", "unique_tokens": "data", "quality": "data", "size": "model",
    "dropout": "model",
}  # fmt: skip


@dataclass(frozen=True)
class ImportedRun:
    """One run to write: the documents of its folder, and its records."""

    run_id: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    records: pl.DataFrame

    @property
    def tokens(self) -> int:
        """The largest number of training tokens seen."""
        return int(self.config["derived"]["total_tokens"] or 0)

    @property
    def step(self) -> int:
        """The last step, 0 where the source has no steps."""
        return int(self.config["derived"]["steps"] or 0)


def make_runs(points: Points, study: str, *, estimate_flops: bool) -> list[ImportedRun]:
    """Group points into runs, in the order of their first points.

    Args:
        estimate_flops: estimate 6 FLOPs for each parameter and token where the source has none.

    Raises:
        InputError: there are so many runs that some label must differ from point to point.
    """
    columns = [*RUN_LEVEL, *points.labels]
    _check_number(points, columns)
    frame = points.frame
    tokens, unique = pl.col("total_tokens"), pl.col("unique_tokens")
    frame = frame.with_columns(epoch=pl.coalesce("epoch", tokens / unique))
    provenance = points.provenance
    if estimate_flops and frame["flops"].has_nulls():
        estimate = 6.0 * pl.col("n_params").cast(float) * tokens.cast(float)
        frame = frame.with_columns(flops=pl.coalesce("flops", estimate))
        estimate_text = "6 x n_params x tokens, where the source tells none"
        provenance = {**provenance, "flops": estimate_text}
        points.notes.append(f"flops are estimated: {estimate_text}.")
    groups = frame.group_by(columns, maintain_order=True)
    return [_run(rows, points.labels, study, provenance) for _, rows in groups]


def _check_number(points: Points, columns: list[str]) -> None:
    count = points.frame.select(columns).n_unique()
    if count <= MOST_RUNS:
        return
    name, values = max(
        ((name, points.frame[name].n_unique()) for name in columns), key=lambda pair: pair[1]
    )
    raise InputError(
        f"{points.provenance['source']['file']}: {count:,} runs, and {MOST_RUNS:,} is the most. "
        f"Rows that differ in a label belong to different runs, and {name} has {values:,} "
        "values: leave that column out of the file."
    )


def _run(
    rows: pl.DataFrame, label_names: list[str], study: str, provenance: dict[str, Any]
) -> ImportedRun:
    first = rows.row(0, named=True)
    labels = {name: first[name] for name in label_names if first[name] is not None}
    keys = {name: first[name] for name in RUN_LEVEL if first[name] is not None}
    run_id = _run_id(study, {**keys, "labels": labels})
    config: dict[str, Any] = {"training": {}, "data": {}, "model": {}, "labels": labels}
    for name, table in _CONFIG_TABLES.items():
        if name in keys:
            config[table][name] = keys[name]
    records = rows.sort("total_tokens", "step", maintain_order=True)
    records = with_all_columns(records.rename({"total_tokens": "tokens"})).cast(RECORD_SCHEMA)
    document = {
        "schema": CONFIG_SCHEMA,
        "run_id": run_id,
        "imported": True,
        "parent": None,
        "data": {"fingerprint": None},
        "config": config,
        "derived": _derived(rows, first),
    }
    return ImportedRun(run_id, document, provenance, records)


def _run_id(study: str, identity: dict[str, Any]) -> str:
    text = json.dumps({"study": study, **identity}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"imported\n{text}".encode()).hexdigest()[:12]


def _derived(rows: pl.DataFrame, first: dict[str, Any]) -> dict[str, Any]:
    tokens = rows["total_tokens"].max()
    assert isinstance(tokens, int)
    return {
        "n_params": first["n_params"],
        "n_params_non_embedding": None,
        # Not in the configuration, since curves that end at different tokens still make pairs.
        "total_tokens": tokens,
        "steps": rows["step"].max(),
        "epochs": tokens / first["unique_tokens"],
        "train_flops": rows["flops"].max(),
    }
