"""The C++ compiler is looked for before a run starts."""

from pathlib import Path

import pytest

from tests.conftest import Workbench
from tests.running.studies import make_run
from workbench.running import orchestrator
from workbench.running.compiler import check_compiler
from workbench.running.orchestrator import Orchestrator


def test_compiled_runs_without_a_compiler_are_refused_and_none_is_started(
    recipe: Path, workbench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    done = workbench("run", recipe, "--set", "training.compile=true")
    assert done.returncode == 2
    assert "no C++ compiler (no-such-compiler)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("results/runs/*/records.jsonl"))


def test_finished_runs_and_those_that_leave_the_choice_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    check_compiler({"a": make_run(tmp_path, "a")})


def test_runs_that_are_eager_for_want_of_a_compiler_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    runs = {"a": make_run(tmp_path, "a")}

    def told() -> str:
        one = Orchestrator("s", runs, tmp_path, jobs=1, keep_going=True, retry_failed=False)
        one.stopping = 1  # no run is started
        with pytest.raises(KeyboardInterrupt):
            one.run()
        return capsys.readouterr().err

    assert "compiler" not in told()
    monkeypatch.setattr(orchestrator, "is_to_be_compiled", lambda *_: True)
    assert "no C++ compiler here (no-such-compiler), so 1 runs" in told()
