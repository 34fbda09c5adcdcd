"""A trained quickstart, the app that shows it, and a browser to look at the app."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from workbench.importing.importer import import_runs
from workbench.viewing.launch import main_script

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SHORT = (
    "training.total_tokens=61_440", "evaluation.points=9", "evaluation.cloze_questions=32",
    "data.validation_tokens=4_096",
)  # fmt: skip
PAGES = (
    "overview", "curves", "crossover", "map", "overfitting", "laws", "predictions", "keys",
    "effects", "compare", "compute", "runs", "notes", "sql",
)  # fmt: skip
FIGURE = "[data-testid=stVegaLiteChart] svg.marks"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart, 30 steps of each run, and the published curves."""
    results = tmp_path_factory.mktemp("app") / "results"
    command = [sys.executable, "-m", "workbench.cli", "run", "quickstart"]
    command += ["--results", str(results)]
    for setting in SHORT:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    import_runs("reference", None, results)
    return results


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """A copy to write to."""
    copy = tmp_path / "results"
    skip = shutil.ignore_patterns("checkpoint", "data")
    return Path(shutil.copytree(trained, copy, ignore=skip))


OpenPage = Callable[..., AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> OpenPage:
    """open_page("curves", results, study="quickstart"): the page as it runs alone, once."""

    def open_(name: str, results: Path, **address: str | list[str]) -> AppTest:
        monkeypatch.setenv("WORKBENCH_RESULTS", str(results))
        page = AppTest.from_file(
            str(main_script().parent / "views" / f"{name}.py"), default_timeout=120
        )
        for key, value in address.items():
            page.query_params[key] = value
        return page.run()

    return open_


@dataclass
class Server:
    """The app as `workbench app` starts it."""

    url: str
    token: str
    process: subprocess.Popen[bytes]
    results: Path

    @property
    def cookie(self) -> dict[str, str]:
        """The header that a browser sends once it has opened the printed link."""
        return {"Cookie": f"workbench-{self.url.rpartition(':')[2]}={self.token}"}


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def start_server(
    results: Path, log: Path, *options: str, through: Sequence[str] = (), **environment: str
) -> Server:
    """Start it, through another command where one is given, and wait for the link it prints."""
    command = [*through, sys.executable, "-m", "workbench.cli", "app", "--results", str(results)]
    command += ["--port", str(free_port()), *(options or ("--no-browser",))]
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **environment}
        )
    for _ in range(600):
        link = re.search(r"(http://\S+)/(?:\?token=(\S+))?\n", log.read_text())
        if link:
            return Server(link[1], link[2], process, results)
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"the app did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app on the trained quickstart; its log is checked after it has ended."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    started = start_server(trained, log)
    yield started
    started.process.terminate()
    started.process.wait(timeout=30)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def own_server(own: Path, tmp_path: Path) -> Iterator[Server]:
    """The app on results that a test may write to."""
    started = start_server(own, tmp_path / "log.txt")
    yield started
    started.process.terminate()
    started.process.wait(timeout=30)
    log = (tmp_path / "log.txt").read_text()
    assert "Traceback" not in log, log


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium."""
    if not CHROMIUM.exists():
        pytest.fail(
            f"{CHROMIUM} is missing: install the system's package, `apt-get install -y chromium`, "
            "or run the tests by `make test`, which does."
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def window(browser: Any) -> Iterator[Any]:
    """A fresh browser window."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(60_000)
    page = context.new_page()
    yield page
    context.close()
