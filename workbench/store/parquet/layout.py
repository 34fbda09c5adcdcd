"""The dataset's layout: which file has what. docs/results.md describes it.

```
_workbench.json                                     format, tables, columns and what they mean
runs/part-0.parquet                                 and studies, study_runs, fits, crossovers
metrics/objective=ar/bucket=17/part-0.parquet       the numbers of the runs of one bucket
items/objective=ar/bucket=17/part-0.parquet         the windows and questions they are made of
```

A run's numbers are in one file, whose name never changes. It is replaced in one step, so that
whoever lists the files sees every number once, even if the writer is killed. A file for each run
would be 10,000 small files; one for all would be written again for every number. 64 buckets an
objective bound both: the number of files, and what one changed run costs.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.errors import InputError
from workbench.store.schema import SCHEMA_VERSION, TABLES, schema_rows
from workbench.version import __version__

FORMAT = 1
BUCKETS = 64
MARKER = "_workbench.json"
METRICS = "metrics"
ITEMS = "items"
SMALL = tuple(
    table.name for table in TABLES if table.name not in (METRICS, "ingested", "schema_version")
)
"""Tables of one file each."""
DIGEST = "workbench.digest"
"""Key of a file's own metadata: a hash of what it was made from. In the file itself it cannot
disagree with a list of files that another writer has left."""
PARTS = "workbench.parts"
"""Key of the metadata of `runs`: the files of `metrics` and `items` of those runs, as JSON."""
NO_OBJECTIVE = "__HIVE_DEFAULT_PARTITION__"  # Hive's own word for NULL

_OURS = re.compile(
    rf"(?:{'|'.join(SMALL)})/part-0\.parquet"
    rf"|(?:{METRICS}|{ITEMS})/objective=[^/]+/bucket=\d+/part-0\.parquet"
)


def bucket_of(run_id: str) -> int:
    """The first eight hexadecimal digits of the id's MD5, modulo 64; any engine can compute it."""
    return int(hashlib.md5(run_id.encode()).hexdigest()[:8], 16) % BUCKETS


def part_path(table: str, objective: str | None, bucket: int) -> str:
    """The path of a file of `metrics` or `items`, relative to the dataset."""
    value = NO_OBJECTIVE if objective is None else quote(objective, safe="")
    return f"{table}/objective={value}/bucket={bucket}/part-0.parquet"


def table_path(table: str) -> str:
    """The path of a small table's file, relative to the dataset."""
    return f"{table}/part-0.parquet"


def is_ours(path: str) -> bool:
    """Whether a path, relative to the dataset, is one that an export writes."""
    return _OURS.fullmatch(path) is not None


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset that `workbench export parquet` wrote."""
    return (folder / MARKER).is_file()


def marker(*, published: bool = False) -> dict[str, Any]:
    """The content of `_workbench.json`.

    Args:
        published: whether the dataset has chosen studies in one bucket, as `publish` writes it.
    """
    return {
        "format": FORMAT,
        "schema": SCHEMA_VERSION,
        "written_by": f"workbench {__version__}",
        "buckets": 1 if published else BUCKETS,
        "published": published,
        "columns": [row for row in schema_rows() if row["type"]],
    }


def check_kind(content: bytes, where: str, *, published: bool) -> None:
    """Check that a dataset is a mirror of a store, or else one of published studies.

    Raises:
        InputError: it is of the other kind, whose files this export would remove.
    """
    if bool(json.loads(content).get("published")) == published:
        return
    kinds = ("mirrors a whole store", "has published studies")
    options = ("without --study", "with --study")
    is_published = not published
    raise InputError(
        f"{where}: a dataset that {kinds[is_published]}. Export into it {options[is_published]}, "
        "or give another folder. Nothing was changed."
    )


def listed_columns(content: bytes) -> set[tuple[str, str]]:
    """(table, column) that all files of a dataset have, by its `_workbench.json`; what it does not
    list, files of an export that was killed may have all the same."""
    columns = json.loads(content).get("columns") or []
    return {(str(row.get("table")), str(row.get("column"))) for row in columns}


def check_marker(content: bytes, where: str) -> None:
    """Check that this version can read a dataset, by its `_workbench.json`.

    Raises:
        InputError: the file is damaged, or written by a newer workbench.
    """
    try:
        document = json.loads(content)
        versions = document["format"], document["schema"]
        columns = document.get("columns") or []
        if not all(type(version) is int and abs(version) < 2**31 for version in versions):
            raise ValueError("format and schema are no numbers")
        if not isinstance(columns, list) or not all(isinstance(row, dict) for row in columns):
            raise ValueError("columns is no list of columns")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{where}/{MARKER}: cannot be read ({error!r}). Remove this one file and export again."
        ) from None
    if versions[0] > FORMAT or versions[1] > SCHEMA_VERSION:
        raise InputError(
            f"{where}: written by a newer workbench (format {versions[0]}, schema {versions[1]}; "
            f"this one knows {FORMAT} and {SCHEMA_VERSION}). Upgrade it. Nothing was changed."
        )
