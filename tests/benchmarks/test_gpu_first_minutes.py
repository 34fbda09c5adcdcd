"""`benchmarks/gpu_first_minutes.py`: each step ends by its time, and what it found is kept."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.training

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def benchmark(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCHMARKS / "gpu_first_minutes.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )


@pytest.fixture
def minutes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu_first_minutes

    return gpu_first_minutes


@pytest.fixture
def cpu(minutes: ModuleType) -> Any:
    return minutes.gpu.find_device("cpu")


def test_without_a_gpu_it_says_so_and_measures_nothing(tmp_path: Path) -> None:
    done = benchmark("--out", tmp_path / "found.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "No CUDA GPU here: nothing was measured.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_trial_on_a_cpu_is_called_one_and_trains_and_compares(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    steps = ("imports-and-25M", "attention")
    done = benchmark("--device", "cpu", "--out", out, "--steps", *steps)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert (found["device"], found["is_gpu_measurement"]) == ("cpu", False)
    assert "no measurement of a GPU" in found["note"]
    assert [found["steps"][name]["state"] for name in steps] == ["done", "done"]
    first, second = (found["steps"][name]["found"] for name in steps)
    assert first["25M"]["tokens_per_second"] > 0
    assert second["check: math, mask of bool"]["as_plain_arithmetic"]


def test_all_steps_fit_nine_minutes(minutes: ModuleType) -> None:
    assert sum(step.seconds for step in minutes.STEPS.values()) <= 9 * 60
    assert list(minutes.STEPS)[:3] == ["imports-and-25M", "attention", "products"]


def test_a_step_beyond_its_time_ends_with_all_that_it_started(
    minutes: ModuleType, tmp_path: Path
) -> None:
    told = minutes.take("small", 3.0, "cpu", tmp_path)
    assert told["state"] == "stopped at its time"
    assert told["seconds"] < 20
    left = [one.info["cmdline"] for one in psutil.process_iter(["cmdline"])]
    assert not [line for line in left if line and any(str(tmp_path) in word for word in line)]


def test_what_a_step_found_before_it_failed_is_in_the_file(
    minutes: ModuleType, cpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(work: Any) -> None:
        work.tell("first", 1)
        raise RuntimeError("out of memory")

    monkeypatch.setitem(minutes.STEPS, "products", minutes.Step(60, measure))
    with pytest.raises(RuntimeError, match="out of memory"):
        minutes.work_on("products", 60, tmp_path / "found.json", cpu)
    assert json.loads((tmp_path / "found.json").read_text()) == {"first": 1}


def test_the_file_is_written_after_each_step_and_no_step_begins_without_time(
    minutes: ModuleType, cpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, seen = tmp_path / "found.json", []

    def take(name: str, seconds: float, kind: str, folder: Path) -> dict[str, Any]:
        seen.append(list(json.loads(out.read_text())["steps"]))
        return {"state": "done", "seconds": seconds}

    monkeypatch.setattr(minutes, "take", take)
    minutes.measure(["attention", "products"], out, cpu, minutes=5)
    assert seen == [[], ["attention"]]
    found = minutes.measure(["attention"], out, cpu, minutes=0.1)
    assert found["steps"]["attention"]["state"] == "left out: no time was left"
    assert len(seen) == 2
