"""Reading tables from files whose paths are taken as they are.

Polars takes `[`, `*` and `?` in a path for a pattern, `~` for the home folder and `s3://` for a
store: a results folder called `exp[12]` would give the numbers of `exp1`. `tests/test_paths.py`
refuses readers of paths elsewhere in the package.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The table of a Parquet file.

    Raises:
        OSError, PolarsError: it cannot be read.
    """
    wanted = None if columns is None else list(columns)
    return pl.read_parquet(path.absolute(), glob=False, columns=wanted)


def read_csv(path: Path, **options: Any) -> pl.DataFrame:
    """The table of a CSV file.

    Args:
        options: those of `polars.read_csv`.

    Raises:
        OSError, PolarsError: it cannot be read.
    """
    return pl.read_csv(path.absolute(), glob=False, **options)
