"""How far runs are."""

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def status(results: Path, *only: str) -> "pl.DataFrame":
    """How far runs are: see `Results.status`."""
    import polars as pl

    from workbench.running.status import status_rows
    from workbench.store.parquet.layout import is_dataset

    if is_dataset(results):
        raise InputError(
            f"{results} is a dataset, without run folders: how far runs are is known where they "
            "train. Study.runs() has the state that they had when it was written."
        )
    return pl.DataFrame(status_rows(results, *only), infer_schema_length=None)
