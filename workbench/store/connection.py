"""Opening the store: for a short time, waiting for others, and locked down for readers."""

import fcntl
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from tenacity import (
    retry,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from workbench.errors import InputError, WorkbenchError
from workbench.runs.paths import literal_for_duckdb
from workbench.runs.unfinished import replace_durably, unfinished
from workbench.store.schema import (
    SCHEMA_VERSION,
    VIEWS,
    column_statements,
    create_statements,
    finite_statements,
    view_statements,
)

READ_ONLY = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "4GB",
    "temp_directory": "",  # what does not fit into memory fails instead of using the disk
}
_CONFIGURING = threading.Lock()
_HOLDER = re.compile(r"held in (.*) \(PID (\d+)\)")


class StoreLocked(WorkbenchError):
    """Another process has had the store open all the time."""


def database_path(results: Path) -> Path:
    return results / "workbench.duckdb"


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and "lock" in str(error).lower()


def connect(
    path: Path, *, read_only: bool, timeout: float = 10.0, memory: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Connect to the store, after waiting while another process writes.

    While one process writes, DuckDB lets no other process in, so connections should be short.

    Args:
        memory: a reader's memory limit, such as "1GB"; the same for all readers of a process.

    Raises:
        WorkbenchError: the store is still locked after `timeout` seconds.
        InputError: the file is not a database.
    """

    @retry(
        retry=retry_if_exception(_is_locked),
        stop=stop_after_delay(timeout),
        wait=wait_random_exponential(multiplier=0.02, max=0.5),
        reraise=True,
    )
    def attempt() -> duckdb.DuckDBPyConnection:
        if read_only:
            config = READ_ONLY | ({"memory_limit": memory} if memory else {})
            reader = duckdb.connect(literal_for_duckdb(path), read_only=True, config=dict(config))
            _lock_configuration(reader)
            return reader
        if not path.exists():
            _create(path)
        return duckdb.connect(literal_for_duckdb(path))

    try:
        with _writers_first(path.parent, timeout, writer=not read_only):
            return attempt()
    except duckdb.IOException as error:
        if _is_locked(error):
            holder = _HOLDER.search(str(error))
            by = f"by process {holder[2]} ({holder[1]})" if holder else "by another process"
            raise StoreLocked(
                f"{path} was still open in another program after {timeout:.0f} s, {by}. While one "
                "reads the store nobody can write it, and the other way round: try again when that "
                "one has closed it."
            ) from None
        raise InputError(f"{path}: cannot be opened: {_first_line(error)}") from None
    except duckdb.Error as error:
        raise InputError(
            f"{path}: not a database that this workbench reads ({_first_line(error)}). Move it "
            "away and run `workbench ingest --rebuild`: it is made again from the run folders."
        ) from None


def connect_current(
    path: Path, *, timeout: float = 10.0, memory: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Connect to the store to read it; one of an earlier version gets its new columns and views.

    Args:
        memory: see `connect`.

    Raises:
        WorkbenchError: the store is still locked after `timeout` seconds.
        InputError: the file is not a store that this version reads.
    """
    connection = connect(path, read_only=True, timeout=timeout, memory=memory)
    try:
        check_version(connection, path)
        if not _missing_statements(connection):
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    with writing(path, timeout=timeout):
        pass  # which adds what is missing
    return connect(path, read_only=True, timeout=timeout, memory=memory)


def _lock_configuration(reader: duckdb.DuckDBPyConnection) -> None:
    """Lock a reader's configuration.

    Simultaneous readers of one process share it, as the app's sessions do: after the first has
    locked it, the others cannot and need not.
    """
    with _CONFIGURING:
        if not _is_on(reader, "lock_configuration"):
            finish_configuration(reader)


def finish_configuration(reader: duckdb.DuckDBPyConnection) -> None:
    """Keep DuckDB's progress bar out of the output, and lock a reader's configuration.

    Without the package ipywidgets, no connection in Jupyter has the bar, and none may set it.
    """
    if _is_on(reader, "enable_progress_bar"):
        reader.execute("SET enable_progress_bar = false")
    reader.execute("SET lock_configuration = true")


def _is_on(connection: duckdb.DuckDBPyConnection, setting: str) -> bool:
    found = connection.execute(f"SELECT current_setting('{setting}')").fetchone()
    return found is not None and found[0] not in (False, "false")


def _create(path: Path) -> None:
    """Create an empty store in one step, since nobody could open one that was left half written.

    Raises:
        WorkbenchError: the folder cannot be written.
    """
    try:
        with unfinished(path, folder=True) as folder:
            duckdb.connect(literal_for_duckdb(folder / path.name)).close()
            if not path.exists():
                replace_durably(folder / path.name, path)
    except (duckdb.Error, OSError) as error:
        raise WorkbenchError(f"{path}: cannot be made: {_first_line(error)}") from error


@contextmanager
def _writers_first(folder: Path, timeout: float, *, writer: bool) -> Iterator[None]:
    """Make readers that come later wait until a waiting writer has opened the store.

    Otherwise some reader might have the store open whenever the writer tries. The lock is on the
    folder, so that no further file is needed. Without locks in the file system, or after `timeout`
    seconds, the block runs without the lock.
    """
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield
        return
    kind = fcntl.LOCK_EX if writer else fcntl.LOCK_SH
    until = time.monotonic() + timeout
    try:
        while time.monotonic() < until:
            try:
                fcntl.flock(place, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01 + 0.02 * random.random())
                continue
            except OSError:
                break
            if not writer:
                fcntl.flock(place, fcntl.LOCK_UN)
            break
        yield
    finally:
        os.close(place)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


@contextmanager
def writing(path: Path, *, timeout: float = 30.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the store for writing in one transaction; it is created if it is missing.

    Raises:
        InputError: the store was made by a newer workbench. It is not changed.
        WorkbenchError: it cannot be written, for example because the disk is full. It is not
            changed.
    """
    with connect(path, read_only=False, timeout=timeout) as connection:
        check_version(connection, path)
        try:
            connection.execute("BEGIN")
            for statement in _missing_statements(connection):
                connection.execute(statement)
            yield connection
            connection.execute("COMMIT")
        except duckdb.Error as error:
            raise WorkbenchError(
                f"{path}: cannot be written: {_first_line(error)} The run folders hold every "
                "record: mend this and run `workbench ingest`."
            ) from error


def _missing_statements(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """What brings a store up to this schema: everything, or new columns, and views anew."""
    if not _tables(connection):
        return create_statements()
    rows = connection.execute("SELECT view_name, comment FROM duckdb_views()").fetchall()
    comments = dict(rows)
    if all(comments.get(name) == comment for name, (comment, _) in VIEWS.items()):
        return []
    columns = connection.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall()
    return [*column_statements(set(columns)), *finite_statements(), *view_statements()]


def check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Check that the database is a store that this version can read.

    Raises:
        InputError: the schema is newer, or the tables are not a workbench's.
    """
    tables = _tables(connection)
    if not tables:
        return
    version = None
    if "schema_version" in tables:
        rows = connection.execute("SELECT max(version) FROM schema_version").fetchall()
        version = rows[0][0]
    if version is None:
        raise InputError(f"{path}: a database, but not a workbench's. Move it away.")
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{path}: made by a newer workbench (schema {version}; this one knows "
            f"{SCHEMA_VERSION}). Upgrade, or move the file away and run `workbench ingest "
            "--rebuild`. Nothing was changed."
        )


def _tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT internal"
    ).fetchall()
    return {row[0] for row in rows}
