"""A dataset behind the store's own tables and views, in a connection that reaches nothing else."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import duckdb

from workbench.errors import InputError
from workbench.store.connection import LAST, READ_ONLY
from workbench.store.parquet.layout import MARKER, METRICS, PARTS, SMALL, check_marker, table_path
from workbench.store.parquet.open_files import HeldFiles, cannot_be_read
from workbench.store.schema import TABLES, VIEWS, Table


@contextmanager
def open_dataset(folder: Path, *, memory: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the store's tables and views over the files of a dataset.

    It may read those files and no other; what it may not do with them, `query` refuses before.

    Raises:
        InputError: damaged, or written by a newer workbench.
    """
    folder = folder.resolve()
    try:
        check_marker((folder / MARKER).read_bytes(), str(folder))
    except OSError as error:
        raise InputError(f"{folder / MARKER}: cannot be read: {error.strerror}.") from None
    locked = dict(READ_ONLY) | ({"memory_limit": memory} if memory else {})
    shut = locked.pop("enable_external_access")  # once the files are known
    with ExitStack() as stack, duckdb.connect(":memory:", config=dict(locked)) as connection:
        held = HeldFiles(stack)
        try:
            _make_tables(connection, folder, held)
            connection.execute(f"SET allowed_paths = [{', '.join(map(_literal, held.names))}]")
            for statement in (f"SET enable_external_access = {shut}", *LAST):
                connection.execute(statement)
        except duckdb.Error as error:
            raise InputError(cannot_be_read(folder, held.named(error))) from None
        try:
            yield connection
        except duckdb.Error as error:
            told = held.named(error)
            if told == str(error).partition("\n")[0]:
                raise  # of no file of ours
            raise InputError(cannot_be_read(folder, told)) from None


def state_of(folder: Path) -> list[tuple[str, int, int]]:
    """Every file of a dataset, and what changes when it is replaced."""
    found = []
    for path in _parts_of(folder) + [folder / table_path(name) for name in SMALL]:
        with suppress(OSError):
            stat = path.stat()
            found.append((str(path), stat.st_ino, stat.st_mtime_ns))
    return found


def _parts_of(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{METRICS}/objective=*/bucket=*/part-0.parquet"))


def _make_tables(connection: duckdb.DuckDBPyConnection, folder: Path, held: HeldFiles) -> None:
    """Create views for all tables.

    Raises:
        InputError: a file is missing that the runs have their numbers in.
    """
    # Before the folder is looked through: an export writes the numbers first, then the runs.
    _check_parts(connection, folder, held)
    for table in TABLES:
        if table.name == METRICS:
            found = _parts_of(folder)
        elif table.name in SMALL:
            found = [path for path in [folder / table_path(table.name)] if path.exists()]
        else:
            continue
        names = [held.hold(path) for path in found]
        connection.execute(f"CREATE VIEW {table.name} AS {_select(table, names)}")
        connection.execute(f"COMMENT ON VIEW {table.name} IS {_literal(table.comment)}")
    for name, (comment, query) in VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {query}")
        connection.execute(f"COMMENT ON VIEW {name} IS {_literal(comment)}")


def _check_parts(connection: duckdb.DuckDBPyConnection, folder: Path, held: HeldFiles) -> None:
    runs = folder / table_path("runs")
    if not runs.exists():
        return  # the first export has not come so far
    found = connection.execute(
        "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?",
        [held.hold(runs), PARTS],
    ).fetchone()
    missing = [one for one in json.loads(found[0]) if not (folder / one).exists()] if found else []
    if missing:
        raise InputError(
            f"{folder / missing[0]} is missing, with {len(missing)} in all that hold numbers. "
            "Export the store again: only what is missing or damaged is written."
        )


def _select(table: Table, files: list[str]) -> str:
    if not files:
        columns = ", ".join(f'NULL::{column.type} AS "{column.name}"' for column in table.columns)
        return f"SELECT {columns} WHERE false"
    columns = ", ".join(
        f'"{column.name}"::{column.type} AS "{column.name}"' for column in table.columns
    )
    names = ", ".join(map(_literal, files))
    return f"SELECT {columns} FROM read_parquet([{names}], hive_partitioning = false)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
