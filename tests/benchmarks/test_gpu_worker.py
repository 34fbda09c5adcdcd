"""`benchmarks/gpu_worker.py`: the same engine with an older torch, and what its kernels take."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running.test_worker import make_run, values
from workbench.runs.folder import RunFolder

pytestmark = pytest.mark.training

WORKER = Path(__file__).parents[2] / "benchmarks" / "gpu_worker.py"


def train(run: RunFolder, *options: object) -> dict[str, Any]:
    report = run.path / "report.json"
    done = subprocess.run(
        [sys.executable, WORKER, run.path, report, *map(str, options)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(report.read_text())


@pytest.mark.long
def test_an_older_torch_is_given_the_same_arithmetic(tmp_path: Path, corpus: Path) -> None:
    runs = []
    for name, options in (("new", []), ("old", ["--as-on-older-torch"])):
        (tmp_path / name).mkdir()
        run = make_run(
            tmp_path / name, corpus, "training.dtype=bfloat16", "training.total_tokens=2048"
        )
        assert train(run, *options)["stood_in_for"] == []
        runs.append(run)
    new, old = (values(run, "train_loss") for run in runs)
    assert len(new) == 4
    # Titan also wraps the embedding: the two gradients of a tied one then add up in another order.
    assert old[1] == new[1]
    assert max(abs(old[step] - new[step]) for step in new) < 1e-3
    assert not list(runs[0].checkpoint_dir.glob("*")), "checkpoints are no part of a step"


def test_a_profile_says_what_three_steps_spend_their_time_on(tmp_path: Path, corpus: Path) -> None:
    file = tmp_path / "profile.json"
    train(make_run(tmp_path, corpus, "training.total_tokens=7680"), "--profile", file)
    found = json.loads(file.read_text())
    assert found["steps"] == 3
    times = [kernel["milliseconds_a_step"] for kernel in found["kernels"]]
    assert times == sorted(times, reverse=True)
    assert 0 < sum(times) <= found["milliseconds_a_step"] * 1.001
    products = [k for k in found["kernels"] if k["name"] in ("aten::mm", "aten::addmm")]
    assert sum(kernel["calls_a_step"] for kernel in products) > 10
