"""The app asks, and changes nothing: SQL in a process of its own, a server for this computer."""

import hashlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.app.conftest import OpenPage, Server
from tests.store.test_query import HOSTILE
from workbench.errors import InputError, WorkbenchError
from workbench.store import database_path, query
from workbench.store.query_process import query_in_subprocess

RUNAWAYS = (
    "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE (a.range * b.range) % 7 = 8",
    "SELECT repeat('x', 3000000000) AS a",
    "SELECT list(range) FROM range(2000000000)",
)


def checksum(results: Path) -> str:
    return hashlib.sha256(database_path(results).read_bytes()).hexdigest()


def refusal(results: Path, sql: str) -> str:
    try:
        answer = query_in_subprocess(results, sql)
    except InputError as error:
        return str(error)
    raise AssertionError(f"{sql} was answered: {answer}")


def test_hostile_statements_are_refused_and_the_store_stays(trained: Path) -> None:
    assert len(HOSTILE) >= 30
    before = checksum(trained)
    with ThreadPoolExecutor(2) as pool:
        refusals = list(pool.map(lambda sql: refusal(trained, sql), HOSTILE))
    assert all(text.startswith("SQL: ") for text in refusals), refusals
    assert checksum(trained) == before
    assert not list(Path("/tmp").glob("stolen*"))


@pytest.mark.parametrize("sql", RUNAWAYS)
def test_a_runaway_question_is_stopped_whatever_it_does(trained: Path, sql: str) -> None:
    before, files, began = checksum(trained), set(trained.iterdir()), time.monotonic()
    with pytest.raises(InputError, match=r"^SQL: stopped"):
        query_in_subprocess(trained, sql, time_limit=1.0)
    assert time.monotonic() - began < 20
    assert checksum(trained) == before
    assert set(trained.iterdir()) == files


def test_a_query_in_a_subprocess_has_the_same_answer_up_to_its_rows(trained: Path) -> None:
    sql = "SELECT * FROM curves ORDER BY ALL"
    assert query_in_subprocess(trained, sql).equals(query(trained, sql))
    assert query_in_subprocess(trained, "FROM range(1000)", rows=10).height == 10
    assert query_in_subprocess(trained, "DESCRIBE runs").height > 20


def test_the_page_says_plainly_what_it_refuses(trained: Path, open_page: OpenPage) -> None:
    page = open_page("sql", trained, q="DROP TABLE metrics")
    assert not page.exception
    assert "DROP is not a question" in page.info[0].value.replace("\\", "")
    assert not page.get("vega_lite_chart")


def test_the_server_listens_on_this_computer_alone(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    listening = [c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_the_app_does_without_torch(server: Server) -> None:
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "libtorch" not in maps
    code = (
        "import sys, workbench.viewing.page, workbench.viewing.drawing,"
        "workbench.viewing.fit_cache, workbench.viewing.unfinished_runs, "
        "workbench.viewing.selection, workbench.figures,"
        "workbench.store.query_process; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_a_store_that_others_keep_busy_is_called_busy(trained: Path) -> None:
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(database_path(trained))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdout.readline().strip() == "open"
    with pytest.raises(WorkbenchError, match="still open in another program after 0 s"):
        query_in_subprocess(trained, "SELECT 1", turn=0.3)
    writer.communicate("\n")
