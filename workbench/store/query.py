"""Queries of the store: one statement, read-only, without files or network."""

import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path

import duckdb
import polars as pl

from workbench.errors import InputError
from workbench.store.connection import connect_current, database_path
from workbench.store.parquet.connect import open_dataset, state_of
from workbench.store.parquet.layout import is_dataset
from workbench.store.schema import ITEMS

# EXPLAIN, DESCRIBE, SHOW and VALUES parse as one of these.
_ALLOWED = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_ATTEMPTS = 10
_PLAIN = {
    "boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint",
    "uinteger", "ubigint", "float", "double", "decimal", "varchar",
}  # fmt: skip
_DATASET: ContextVar[tuple[Path, duckdb.DuckDBPyConnection] | None] = ContextVar(
    "dataset", default=None
)
_EXPLAIN = re.compile(r"\s*EXPLAIN\b\s*(ANALYZE\b)?\s*(\([^()]*\))?", re.IGNORECASE)


def query(
    results: Path,
    sql: str,
    *,
    timeout: float = 10.0,
    time_limit: float = 120.0,
    rows: int | None = None,
    memory: str | None = None,
) -> pl.DataFrame:
    """The answer to one SELECT.

    Args:
        results: a results folder, or a dataset that `workbench export parquet` wrote.
        timeout: seconds to wait for a writer to finish.
        time_limit: seconds that the statement may run.
        rows: the largest number of rows to return; all where None.
        memory: see `connect`.

    Raises:
        InputError: there is no store yet, or the SQL is wrong, is more than one statement, or is
            not a SELECT.
    """
    before = None
    for _ in range(_ATTEMPTS):
        try:
            # A dataset's file may be replaced during the query: then the query is repeated.
            before = state_of(results) if is_dataset(results) else None
            return _answer(results, sql, timeout, time_limit, rows, memory)
        except InputError:
            if before is None or before == state_of(results):
                raise
    return _answer(results, sql, timeout, time_limit, rows, memory)


@contextmanager
def open_once(dataset: Path) -> Iterator[None]:
    """Answer all queries of a dataset inside the block through one connection, but those of items.

    To open a dataset takes longer than most questions do.
    """
    with open_dataset(dataset, items=False) as connection:
        token = _DATASET.set((dataset, connection))
        try:
            yield
        finally:
            _DATASET.reset(token)


def _answer(
    results: Path, sql: str, timeout: float, time_limit: float, rows: int | None, memory: str | None
) -> pl.DataFrame:
    try:
        with _open(results, sql, timeout, memory) as connection:
            statement = _single_select(connection, sql)
            stopper = threading.Timer(time_limit, connection.interrupt)
            stopper.daemon = True
            stopper.start()
            try:
                answer = _with_values(connection.sql(statement))
                return answer.pl() if rows is None else answer.limit(rows).pl()
            finally:
                stopper.cancel()
                # A thread that still runs when the interpreter exits can crash the process.
                stopper.join()
    except duckdb.InterruptException:
        raise InputError(f"SQL: stopped after {time_limit:.0f} s.") from None
    except (duckdb.PermissionException, duckdb.InvalidInputException) as error:
        raise InputError(f"SQL: refused: {error}") from None
    except duckdb.Error as error:
        hint = ""
        if f"Table with name {ITEMS.name} does not exist" in str(error):
            hint = (
                " The store leaves items in the run folders; a dataset has them: `workbench export "
                "parquet DATASET`, then `workbench sql --from DATASET`."
            )
        raise InputError(f"SQL: {error}{hint}") from None


def _with_values(answer: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The answer, with columns as text whose values Polars, Python or JSON do not have, such as
    dates of the year 290000."""
    if all(map(_is_plain, answer.types)):
        return answer
    columns = (
        (f"#{number}" if _is_plain(kind) else f"CAST(#{number} AS VARCHAR)")
        + ' AS "' + name.replace('"', '""') + '"'
        for number, (name, kind) in enumerate(zip(answer.columns, answer.types, strict=True), 1)
    )  # fmt: skip
    return answer.project(", ".join(columns))


def _is_plain(kind: duckdb.sqltypes.DuckDBPyType) -> bool:
    if kind.id in ("list", "array", "struct"):
        inner = [child for _, child in kind.children]  # of an array, its length as well
        return all(_is_plain(one) for one in inner if isinstance(one, duckdb.sqltypes.DuckDBPyType))
    return kind.id in _PLAIN


def _open(
    results: Path, sql: str, timeout: float, memory: str | None
) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    opened, items = _DATASET.get(), ITEMS.name in sql.lower()
    if opened and opened[0] == results and not items:
        return nullcontext(opened[1])
    if is_dataset(results):
        return open_dataset(results, items=items, memory=memory)
    path = database_path(results)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: no results yet. Run a recipe (`workbench run quickstart`), "
            "restore it from run folders with `workbench ingest`, or ask the studies that ship: "
            "`--from shipped`."
        )
    return connect_current(path, timeout=timeout, memory=memory)


def _single_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise InputError(f"SQL: {error}") from None
    if len(statements) != 1:
        raise InputError(f"SQL: expected one statement, not {len(statements)}.")
    statement = statements[0]
    kind = _type_of(statement)
    if kind == duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE executes its statement, which may then open a dataset's files.
        kind = _explained(connection, sql)
    if kind not in _ALLOWED:
        raise InputError(
            f"SQL: {kind.name if kind else 'this'} is not a question. The store is read-only here: "
            "SELECT from studies, runs, metrics, curves, final, best."
        )
    return statement


def _type_of(statement: duckdb.Statement) -> duckdb.StatementType | None:
    try:
        return statement.type
    except ValueError:  # a type that DuckDB's own bindings have no name for: UPDATE EXTENSIONS
        return None


def _explained(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.StatementType | None:
    """The type of the one statement behind EXPLAIN."""
    match = _EXPLAIN.match(sql)
    try:
        statements = connection.extract_statements(sql[match.end() :]) if match else []
    except duckdb.Error:
        statements = []
    if len(statements) != 1:
        raise InputError("SQL: write EXPLAIN or EXPLAIN ANALYZE, and then one SELECT.")
    return _type_of(statements[0])


def literal(text: str) -> str:
    """A text as a string literal in SQL."""
    return "'" + text.replace("'", "''") + "'"
