"""Joules of training steps: what the driver counts, over attempts and ranks, and never a part.

There is no GPU here. NVML's calls are made to a library in C that answers as NVML does; what a
trainer and its ranks do with the joules is tried with a counter of the test's own in its place.
"""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist

from tests.running.test_worker import make_run, values
from workbench.running import worker
from workbench.training import energy, nvml
from workbench.training.energy import EnergyMeter, measures, meter_of, recorded
from workbench.training.trainer import StudyTrainer

LIBRARY = """
#include <string.h>
struct gpu { const char *uuid; int counter, power; unsigned processes; unsigned long long mj; };
static struct gpu gpus[] = {
  {"GPU-volta", 0, 0, 1, 7000}, {"GPU-pascal", 3, 0, 1, 0}, {"GPU-silent", 3, 3, 1, 0},
  {"GPU-shared", 0, 0, 2, 0},
};
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
  for (int i = 0; i < 4; i++)
    if (!strcmp(uuid, gpus[i].uuid)) { *device = &gpus[i]; return 0; }
  return 6;  /* NVML_ERROR_NOT_FOUND */
}
int nvmlDeviceGetTotalEnergyConsumption(struct gpu *d, unsigned long long *mj) {
  *mj = (d->mj += 500); return d->counter;
}
int nvmlDeviceGetPowerUsage(struct gpu *d, unsigned *mw) { *mw = 250000; return d->power; }
int nvmlDeviceGetComputeRunningProcesses_v3(struct gpu *d, unsigned *count, void *infos) {
  unsigned room = *count; *count = d->processes; return room < d->processes ? 7 : 0;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("builds a library in C")
    folder = tmp_path_factory.mktemp("nvml")
    source, built = folder / "nvml.c", folder / "libnvml.so"
    source.write_text(LIBRARY)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", built, source], check=True)
    return built


@pytest.fixture
def driver(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "_LIBRARY", str(library))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.delenv(energy.SHARED_GPU, raising=False)


@pytest.mark.usefixtures("driver")
def test_the_counter_is_read_in_joules() -> None:
    gpu = nvml.find_gpu("GPU-volta")
    assert gpu is not None
    assert gpu.method == nvml.COUNTER
    first, second = gpu.counted(), gpu.counted()
    assert second == pytest.approx(first + 0.5), "500 mJ between two readings"
    assert gpu.watts() == 250.0


@pytest.mark.usefixtures("driver")
def test_a_gpu_without_the_counter_is_measured_by_its_power() -> None:
    gpu = nvml.find_gpu("GPU-pascal")
    assert gpu is not None
    assert (gpu.method, gpu.counted()) == (nvml.POWER, None)


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("uuid", ["GPU-silent", "MIG-of-volta"])
def test_a_gpu_that_says_nothing_is_not_measured(uuid: str) -> None:
    assert nvml.find_gpu(uuid) is None


def test_without_the_drivers_library_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "_LIBRARY", "libno-such-library.so.1")
    assert nvml.find_gpu("GPU-volta") is None


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("uuid", "environment", "joules"),
    [
        ("GPU-volta", {}, 0.5),
        ("GPU-shared", {}, None),  # another process computes on it
        ("GPU-volta", {energy.SHARED_GPU: "1"}, None),
        ("GPU-silent", {}, None),
    ],
)
def test_a_gpu_that_others_use_too_has_no_number(
    uuid: str,
    environment: dict[str, str],
    joules: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    meter = energy._meter(uuid, tmp_path / "records.jsonl")
    meter.count(1)
    assert meter.total() == joules


@pytest.mark.usefixtures("driver")
def test_sampled_power_becomes_joules_and_says_how(tmp_path: Path) -> None:
    meter = energy._meter("GPU-pascal", tmp_path / "records.jsonl")
    began = time.monotonic()
    meter.count(1)
    time.sleep(0.25)
    joules, seconds = meter.total(), time.monotonic() - began
    meter.close()
    assert meter.method == nvml.POWER
    assert 0.25 * 250 <= joules <= seconds * 250


def test_power_is_integrated_by_the_trapezoid_and_ends_with_a_failed_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nvml, "_SAMPLE_EVERY_S", 1000.0)  # the samples are those asked for here
    clock, watts = iter([0.0, 2.0, 3.0, 4.0]), iter([100.0, 200.0, None, 100.0])
    monkeypatch.setattr(nvml.time, "monotonic", lambda: next(clock))
    sampled = nvml.SampledPower(lambda: next(watts))
    assert [sampled.read() for _ in range(3)] == [300.0, None, None]
    sampled.close()


def meter(read: Callable[[], float | None], before: float | None = 0.0) -> EnergyMeter:
    return EnergyMeter(read, method="test", earlier=lambda step: before)


def test_what_is_between_pause_and_the_next_step_does_not_count() -> None:
    counter = iter([10.0, 13.0, 100.0, 104.0])
    measured = meter(lambda: next(counter), before=1000.0)
    measured.count(5)
    measured.pause()
    assert measured.total() == 1003.0
    measured.count(6)
    measured.count(7)
    assert measured.total() == 1007.0


@pytest.mark.parametrize("readings", [[10.0, 9.0, 12.0], [10.0, None, 12.0], [None, 3.0, 4.0]])
def test_a_gap_or_a_counter_set_to_zero_leaves_no_number(readings: list[float | None]) -> None:
    counter = iter(readings)
    measured = meter(lambda: next(counter))
    measured.count(1)
    assert (measured.total(), measured.total()) == (None, None)


def test_a_run_that_was_not_measured_before_has_no_number() -> None:
    measured = meter(lambda: 1.0, before=None)
    measured.count(9)
    assert measured.total() is None


def test_records_say_what_a_step_had_taken(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    assert (recorded(path, 0), recorded(path, 4)) == (0.0, None)
    rows = [("train_joules", 4, 1.0), ("lr", 4, 9.0), ("train_joules", 4, 2.0)]
    lines = [json.dumps(dict(zip(("metric", "step", "value"), row, strict=True))) for row in rows]
    path.write_text("\n".join([*lines, '{"metric":"train_joules", torn']))
    assert (recorded(path, 4), recorded(path, 5)) == (2.0, None)


def test_each_gpu_is_measured_by_one_rank() -> None:
    uuids = ["a", "b", "a", "c", "b"]
    assert [measures(uuids, rank) for rank in range(5)] == [True, True, False, True, False]


def test_a_cpu_has_no_meter(tmp_path: Path) -> None:
    assert meter_of("cpu", tmp_path / "records.jsonl") is None


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Joules of an imagined GPU, in the place of the driver's: a step takes 10, and an evaluation
    1,000."""
    spent = [0.0]
    step, attach = StudyTrainer._optimise, StudyTrainer.attach

    def optimise(self: StudyTrainer, batches: Any) -> None:
        step(self, batches)
        spent[0] += 10

    def attached(self: StudyTrainer, objective: Any, hooks: Any, *others: Any) -> None:
        evaluate = hooks.evaluate

        def costly(at: int) -> None:
            evaluate(at)
            spent[0] += 1000

        hooks.evaluate = costly
        attach(self, objective, hooks, *others)

    def made(device: str, path: Path) -> EnergyMeter:
        return EnergyMeter(
            lambda: spent[0], method="nvml_counter", earlier=lambda at: recorded(path, at)
        )

    monkeypatch.setattr(StudyTrainer, "_optimise", optimise)
    monkeypatch.setattr(StudyTrainer, "attach", attached)
    monkeypatch.setattr(worker, "meter_of", made)
    return spent


@pytest.mark.training
@pytest.mark.usefixtures("counter")
def test_attempts_add_up_and_no_step_counts_twice(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt dies after step 6 and its checkpoint of step 4, one is stopped after step 9,
    which it saves, and one trains on to the end."""
    run = make_run(tmp_path, corpus, "training.checkpoint_every=4")
    step = StudyTrainer.train_step

    def interrupted(self: StudyTrainer, data: Any) -> None:
        step(self, data)
        if self.step == 6 and run.status().attempts == 1:
            raise OSError("the machine is gone")
        if self.step == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(StudyTrainer, "train_step", interrupted)
        assert worker.main(run.path) == worker.FAILED
        assert worker.main(run.path) == worker.STOPPED
    assert worker.main(run.path) == worker.FINISHED
    assert values(run, "train_joules") == {step: 10.0 * step for step in range(1, 13)}


def _rank(rank: int, store: str, uuids: list[str], joules: list[float], found: Any) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=len(uuids))
    own = joules[rank] if measures(uuids, rank) else 0.0
    readings = iter([0.0, own])
    measured = EnergyMeter(lambda: next(readings), method="test", earlier=lambda step: 100.0)
    measured.count(1)
    found.put((rank, measured.total()))
    dist.destroy_process_group()


@pytest.mark.long
def test_ranks_sum_each_gpu_once_and_what_was_before_once(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    found = processes.Queue()
    uuids, joules = ["a", "a", "b"], [3.0, 3.0, 4.0]
    ranks = [
        processes.Process(target=_rank, args=(rank, str(tmp_path / "s"), uuids, joules, found))
        for rank in range(3)
    ]
    for one in ranks:
        one.start()
    assert sorted(found.get(timeout=120) for _ in ranks) == [(rank, 107.0) for rank in range(3)]
    for one in ranks:
        one.join()
