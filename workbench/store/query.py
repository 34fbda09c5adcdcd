"""Questions to the store: one statement, read-only, without files or network."""

import threading
from pathlib import Path

import duckdb
import polars as pl

from workbench.errors import InputError
from workbench.store.connection import check_version, connect, database_path

# EXPLAIN, DESCRIBE, SHOW and VALUES parse as one of these.
_ALLOWED = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}


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
        timeout: seconds to wait for a writer to finish.
        time_limit: seconds that the statement may run.
        rows: the most to answer; all where None.
        memory: see `connect`.

    Raises:
        InputError: no store yet, wrong SQL, more than one statement, or anything but a question.
    """
    path = database_path(results)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: no results yet. Run a recipe (`workbench run quickstart`), "
            "or restore it from run folders with `workbench ingest`."
        )
    with connect(path, read_only=True, timeout=timeout, memory=memory) as connection:
        check_version(connection, path)
        statement = _only_question(connection, sql)
        stopper = threading.Timer(time_limit, connection.interrupt)
        stopper.daemon = True
        stopper.start()
        try:
            answer = connection.sql(statement)
            return answer.pl() if rows is None else answer.limit(rows).pl()
        except duckdb.InterruptException:
            raise InputError(f"SQL: stopped after {time_limit:.0f} s.") from None
        except (duckdb.PermissionException, duckdb.InvalidInputException) as error:
            raise InputError(f"SQL: refused: {error}") from None
        except duckdb.Error as error:
            raise InputError(f"SQL: {error}") from None
        finally:
            stopper.cancel()


def _only_question(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise InputError(f"SQL: {error}") from None
    if len(statements) != 1:
        raise InputError(f"SQL: expected one statement, not {len(statements)}.")
    statement = statements[0]
    if statement.type not in _ALLOWED:
        raise InputError(
            f"SQL: {statement.type.name} is not a question. The store is read-only here: SELECT "
            "from studies, runs, metrics, curves, final, best."
        )
    return statement
