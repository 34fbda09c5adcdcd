"""What the numbers of runs are made of, read from their folders on demand."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from workbench.runs.folder import RunFolder
from workbench.runs.items import read_items


def read_items_of(results: Path, run_ids: Iterable[str], metric: str) -> dict[str, pl.DataFrame]:
    """Rows of `runs.items.SCHEMA` of one metric, by run; of bits a byte those of the loss."""
    name = metric.replace("val_bpb", "val_loss")
    return {
        run_id: read_items(RunFolder(results / "runs" / run_id).items_dir, [name])
        for run_id in run_ids
    }
