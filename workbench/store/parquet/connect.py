"""A dataset as the store's tables and views, in a connection without access to other files."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import duckdb

from workbench.errors import InputError
from workbench.store.connection import READ_ONLY, finish_configuration
from workbench.store.parquet.layout import (
    ITEMS,
    MARKER,
    METRICS,
    PARTS,
    SMALL,
    check_marker,
    is_ours,
    listed_columns,
    table_path,
)
from workbench.store.parquet.open_files import OpenFiles, cannot_be_read
from workbench.store.schema import ITEMS as ITEMS_TABLE
from workbench.store.schema import TABLES, VIEWS, Column, Table, before_added


@contextmanager
def open_dataset(
    folder: Path, *, items: bool = True, memory: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the store's tables and views, and `items`, over the files of a dataset.

    It can read those files and no others; `query` refuses statements that are not SELECTs.

    Args:
        items: whether `items` has its rows: without, half as many files are opened.
        memory: a memory limit, such as "1GB".

    Raises:
        InputError: the dataset is damaged, or written by a newer workbench.
    """
    folder = folder.resolve()
    try:
        marker = (folder / MARKER).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / MARKER}: cannot be read: {error.strerror}.") from None
    check_marker(marker, str(folder))
    listed = listed_columns(marker)
    locked = dict(READ_ONLY) | ({"memory_limit": memory} if memory else {})
    shut = locked.pop("enable_external_access")  # once the files are known
    with ExitStack() as stack, duckdb.connect(":memory:", config=dict(locked)) as connection:
        files = OpenFiles(stack)
        try:
            _create_views(connection, folder, files, listed, items)
            connection.execute(f"SET allowed_paths = [{', '.join(map(_literal, files.names))}]")
            connection.execute(f"SET enable_external_access = {shut}")
            finish_configuration(connection)
        except duckdb.Error as error:
            raise InputError(cannot_be_read(folder, files.named(error))) from None
        try:
            yield connection
        except duckdb.Error as error:
            message = files.named(error)
            if message == str(error).partition("\n")[0]:
                raise  # the error is not about one of our files
            raise InputError(cannot_be_read(folder, message)) from None


def state_of(folder: Path) -> list[tuple[str, int, int]]:
    """Every file of a dataset with its inode and time, which change when it is replaced."""
    files = []
    parts = [path for table in (METRICS, ITEMS) for path in _parts_of(folder, table)]
    for path in parts + [folder / table_path(name) for name in SMALL]:
        with suppress(OSError):
            stat = path.stat()
            files.append((str(path), stat.st_ino, stat.st_mtime_ns))
    return files


def _parts_of(folder: Path, table: str) -> list[Path]:
    return sorted(folder.glob(f"{table}/objective=*/bucket=*/part-0.parquet"))


def _create_views(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    files: OpenFiles,
    listed: set[tuple[str, str]],
    items: bool,
) -> None:
    """Create views for all tables.

    Args:
        listed: columns that all files have.
        items: see `open_dataset`.

    Raises:
        InputError: a file with numbers of the runs is missing.
    """
    # Checked before the files are listed: an export writes the numbers first, then the runs.
    _check_parts(connection, folder, files)
    for table in (*TABLES, ITEMS_TABLE):
        if table.name in (METRICS, ITEMS):
            paths = _parts_of(folder, table.name) if items or table.name == METRICS else []
        elif table.name in SMALL:
            paths = [path for path in [folder / table_path(table.name)] if path.exists()]
        else:
            continue
        names = [files.open(path) for path in paths]
        connection.execute(
            f"CREATE VIEW {table.name} AS {_select(connection, table, names, listed)}"
        )
        connection.execute(f"COMMENT ON VIEW {table.name} IS {_literal(table.comment)}")
    for name, (comment, query) in VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {query}")
        connection.execute(f"COMMENT ON VIEW {name} IS {_literal(comment)}")


def _check_parts(connection: duckdb.DuckDBPyConnection, folder: Path, files: OpenFiles) -> None:
    runs = folder / table_path("runs")
    if not runs.exists():
        return  # the first export has not written them yet
    parts = connection.execute(
        "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?",
        [files.open(runs), PARTS],
    ).fetchone()
    missing = [p for p in _listed(runs, parts[0]) if not (folder / p).exists()] if parts else []
    if missing:
        raise InputError(
            f"{folder / missing[0]} is missing, with {len(missing)} in all that hold numbers. "
            "Export the store again: only what is missing or damaged is written."
        )


def _listed(runs: Path, parts: str) -> list[str]:
    try:
        paths = json.loads(parts)
        if isinstance(paths, list) and all(isinstance(p, str) and is_ours(p) for p in paths):
            return paths
    except (ValueError, RecursionError):
        pass
    raise InputError(cannot_be_read(runs, f"its metadata {PARTS} is no list of files."))


def _select(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    files: list[str],
    listed: set[tuple[str, str]],
) -> str:
    """The SELECT of a table's rows, whichever of its columns each file has.

    Files of earlier versions lack columns; an export that was killed leaves both kinds.
    """
    if not files:
        columns = ", ".join(f'NULL::{column.type} AS "{column.name}"' for column in table.columns)
        return f"SELECT {columns} WHERE false"
    present = frozenset(column.name for column in table.columns)
    # Opening each file for its columns would take as long as many a question.
    if all((table.name, name) in listed for name in present) and all(
        names >= present for names in _columns(connection, files[:1]).values()
    ):
        return _select_alike(table, present, files)
    alike: dict[frozenset[str], list[str]] = {}
    for file, names in _columns(connection, files).items():
        alike.setdefault(names, []).append(file)
    return " UNION ALL ".join(_select_alike(table, *group) for group in alike.items())


def _columns(connection: duckdb.DuckDBPyConnection, files: list[str]) -> dict[str, frozenset[str]]:
    """The columns of each file."""
    rows = connection.execute(
        "SELECT file_name, list(name) FROM parquet_schema(?) GROUP BY file_name ORDER BY file_name",
        [files],
    ).fetchall()
    return {file: frozenset(names) for file, names in rows}


def _select_alike(table: Table, present: frozenset[str], files: list[str]) -> str:
    columns = ", ".join(
        f'{_value(column)} AS "{column.name}"'
        if column.name in present
        else f'({before_added(table.name, column)})::{column.type} AS "{column.name}"'
        for column in table.columns
    )
    names = ", ".join(map(_literal, files))
    return f"SELECT {columns} FROM read_parquet([{names}], hive_partitioning = false)"


def _value(column: Column) -> str:
    """A column's values, whoever wrote them: NULL where they are not finite, as in a store."""
    value = f'"{column.name}"::{column.type}'
    return f"if(isfinite({value}), {value}, NULL)" if column.type == "DOUBLE" else value


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
