"""A run's items, the windows and questions that its numbers are made of, for analysis.

The DuckDB store does not hold them: they are a hundred times as many rows as there are numbers, and
few questions need them. They are read when asked for, from the run folders of a results folder or
from a dataset.
"""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from workbench.runs.document import is_plain_id
from workbench.runs.folder import RunFolder
from workbench.runs.items import SCHEMA, read_items
from workbench.store.parquet.layout import is_dataset
from workbench.store.query import literal, query
from workbench.store.schema import ITEMS


def read_items_of(results: Path, run_ids: Iterable[str], metric: str) -> dict[str, pl.DataFrame]:
    """The rows of `workbench.runs.items.SCHEMA` of each run that has items of a metric.

    Runs of before items were written, imported ones and those whose folder is gone are left out.
    The rows are of all steps, estimators and numbers of draws. Bits a byte have no items of their
    own: those of the loss, in nats, are what they are made of.

    Args:
        results: a results folder, or a dataset that `workbench export parquet` wrote.
        metric: as it is called now: `val_loss`, `cloze_acc`, ...

    Raises:
        InputError: the dataset is damaged, or written by a newer workbench.
    """
    wanted = list(dict.fromkeys(run_ids))
    name = metric.replace("val_bpb", "val_loss")
    if not is_dataset(results):
        plain = filter(is_plain_id, wanted)  # a store may come from somebody else
        folders = {run_id: RunFolder(results / "runs" / run_id) for run_id in plain}
        read = {run_id: read_items(run.items_dir, [name]) for run_id, run in folders.items()}
        return {run_id: frame for run_id, frame in read.items() if not frame.is_empty()}
    if not wanted or not (results / ITEMS.name).is_dir():  # published studies have none
        return {}
    ids = ", ".join(map(literal, wanted))
    frame = query(
        results,
        f"FROM {ITEMS.name} WHERE metric = {literal(name)} AND run_id IN ({ids}) ORDER BY ALL",
    )
    parts = frame.partition_by("run_id", as_dict=True, include_key=False)
    return {
        str(run_id): rows.select(SCHEMA.names()).cast(dict(SCHEMA))  # type: ignore[arg-type]
        for (run_id,), rows in parts.items()
    }
