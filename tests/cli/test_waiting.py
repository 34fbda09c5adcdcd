"""Whoever waits is told what for, and no answer has that in it."""

import json
import subprocess
import sys
import time

import pytest

from workbench import stages
from workbench.cli.waiting import told

WAITS = """
import sys, time
from workbench import stages
from workbench.cli.waiting import told
with told("report", first=0.05, again=0.1):
    stages.doing("drawing")
    time.sleep(0.5)
    print('{"a": 1}')
"""


def run(stderr: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WAITS], text=True, check=True, stdout=subprocess.PIPE, stderr=stderr
    )


def test_a_command_that_takes_long_says_what_it_does_beside_its_answer() -> None:
    done = run(subprocess.PIPE)
    assert json.loads(done.stdout) == {"a": 1}
    assert set(done.stderr.splitlines()) == {"report: 0 s, drawing ..."}
    assert len(done.stderr.splitlines()) > 1


def test_nothing_is_said_where_it_would_be_in_the_answer() -> None:
    done = run(subprocess.STDOUT)
    assert json.loads(done.stdout) == {"a": 1}


def test_a_fast_command_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with told("show", first=5.0):
        stages.doing("asking")
    assert capfd.readouterr().err == ""


def test_what_shows_itself_is_not_told(capfd: pytest.CaptureFixture[str]) -> None:
    with told("run", first=0.02, again=0.02), stages.shown_elsewhere():
        time.sleep(0.3)
    assert capfd.readouterr().err == ""
    assert stages.now() is not None
