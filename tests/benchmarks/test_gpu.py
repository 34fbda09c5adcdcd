"""`benchmarks/gpu.py`: it never takes a CPU for a GPU, and its arithmetic is the product's own."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from workbench.data.tokenizers import load_tokenizer
from workbench.planning.gpus import GPUS
from workbench.planning.plan import plan_study
from workbench.recipe import load_recipe

pytestmark = pytest.mark.training

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCHMARKS / "gpu.py", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu

    return gpu


def test_without_a_gpu_it_says_so_and_measures_nothing() -> None:
    done = benchmark()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "No CUDA GPU here: nothing was measured.\n"


def test_a_trial_on_a_cpu_is_called_one() -> None:
    done = benchmark("--device", "cpu", "--objectives", "mdlm", "--eager", "--steps", "15")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["device"], found["is_gpu_measurement"]) == ("cpu", False)
    assert "no measurement of a GPU" in found["note"]
    assert found["note"] in done.stderr
    (row,) = found["rows"]
    assert (row["objective"], row["mode"], row["size"]) == ("mdlm", "eager", "0.2M")
    assert row["tokens_per_second"] > 0
    assert row["flops_per_second"] == pytest.approx(
        row["flops_per_token"] * row["tokens_per_second"]
    )
    assert (row["mfu"], row["roofline"]) == (None, None)


def test_on_a_gpu_it_would_train_the_papers_shape(gpu: ModuleType, tmp_path: Path) -> None:
    from gpu_recipe import write_recipe

    arguments = argparse.Namespace(
        size=None, sequences=8, seq_len=None, steps=40, recompute=False,
        objectives=["ar", "mdlm"], compile=False, eager=False,
    )  # fmt: skip
    plan = plan_study(load_recipe(write_recipe(tmp_path, arguments, "cuda")), tmp_path)
    assert load_tokenizer(str(tmp_path / "tokenizer.json")).vocabulary.size == 50_304
    told = [(run.objective, run.config.training.compile) for run in plan.runs]
    assert told == [("ar", False), ("ar", True), ("mdlm", False), ("mdlm", True)]
    assert {run.n_params for run in plan.runs} == {1_086_196_992}
    for run in plan.runs:
        line = gpu.roofline(run.config, GPUS["h200"])
        assert line["computing_seconds"] == pytest.approx(run.train_flops / run.steps / 989.4e12)
        assert line["bytes_per_step"] > 46 * run.n_params
        assert line["bound"] == "computing"
        assert line["tokens_per_second"] == pytest.approx(8 * 2048 / line["computing_seconds"])
    assert set(gpu.BANDWIDTH) == set(GPUS)
