"""Queries in a process of their own, for SQL from untrusted users.

DuckDB checks its limits between the steps of a plan. A single call of a function that makes
gigabytes exceeds both time and memory unchecked; a process can always be ended.
"""

import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl

from workbench.errors import InputError, WorkbenchError
from workbench.store.query import query

TIME_S = 10.0
"""Seconds that a query may run: less than writers wait, so that a long query never makes a write of
a running study fail."""
ROWS = 200_000
_MEMORY = "1GB"
_STORE_UNAVAILABLE = 3
_PROCESS_BYTES = 6 * 2**30  # of addresses, of which most are never touched
_TURN_S = 20.0  # to wait for a turn among writers
_STARTING_S = 10.0  # for the imports, on a busy machine


def query_in_subprocess(
    results: Path,
    sql: str,
    *,
    time_limit: float = TIME_S,
    rows: int = ROWS,
    turn: float = _TURN_S,
) -> pl.DataFrame:
    """The first rows of the answer to one SELECT, computed by another process.

    Args:
        time_limit: seconds that the statement may run.
        turn: seconds to wait for a writer to finish.

    Raises:
        InputError: as `query`, or the statement needs too much time or memory.
        WorkbenchError: as `query`.
    """
    command = [sys.executable, "-m", "workbench.store.query_process", str(results)]
    command += [str(time_limit), str(rows), str(turn)]
    try:
        done = subprocess.run(
            command,
            input=sql.encode(),
            capture_output=True,
            timeout=_STARTING_S + turn + time_limit,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"SQL: stopped after {time_limit:.0f} s.") from None
    if done.returncode == 0:
        return pl.read_ipc(io.BytesIO(done.stdout))
    message = done.stderr.decode(errors="replace")
    if done.returncode == _STORE_UNAVAILABLE:
        raise WorkbenchError(message.strip().splitlines()[-1])
    if done.returncode == 2:
        # Left out: a progress bar before the message, and hints at locked settings after it.
        raise InputError(message[message.rfind("SQL: ") :].partition("\n\n")[0].strip())
    raise InputError(f"SQL: stopped: it needs more than the {_MEMORY} of memory allowed here.")


def _main(results: str, time_limit: str, rows: str, turn: str) -> int:
    answers = os.dup(1)
    os.dup2(2, 1)  # so that no progress bar gets into the answer
    resource.setrlimit(resource.RLIMIT_AS, (_PROCESS_BYTES, _PROCESS_BYTES))
    # The kernel ends the process if DuckDB does not react to its timer.
    seconds = int(float(time_limit) * (os.cpu_count() or 1)) + 5
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        frame = query(
            Path(results),
            sys.stdin.read(),
            timeout=float(turn),
            time_limit=float(time_limit),
            rows=int(rows),
            memory=_MEMORY,
        )
    except InputError as error:
        message = str(error)
        if "Out of Memory" in message:
            message = f"SQL: stopped: it needs more than the {_MEMORY} of memory allowed here."
        print(message, file=sys.stderr)
        return 2
    except WorkbenchError as error:  # the store is busy, or damaged
        print(" ".join(str(error).split()), file=sys.stderr)
        return _STORE_UNAVAILABLE
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    with os.fdopen(answers, "wb") as file:
        file.write(buffer.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
