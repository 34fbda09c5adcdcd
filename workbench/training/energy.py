"""Joules of a run's training steps: of all GPUs that its ranks train on, each of them once.

They are counted as training FLOPs are: without evaluation and without what came after a checkpoint
and was lost. A run that goes on adds to what is recorded at the step of its checkpoint, so its
total is that of the steps that led to its weights, whoever of its attempts trained them. Where any
of that is unknown there is no number, and never a part of one.
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import distributed as dist

from workbench.runs.files import plain_file
from workbench.training.nvml import COUNTER, SampledPower, find_gpu

JOULES = "train_joules"
SHARED_GPU = "WORKBENCH_SHARED_GPU"
"""Set in the environment of a run that has its GPU together with other runs."""


class EnergyMeter:
    """What the training steps of a run have taken. Every rank has one."""

    def __init__(
        self,
        read: Callable[[], float | None],
        *,
        method: str,
        earlier: Callable[[int], float | None],
        wait: Callable[[], None] = lambda: None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin with nothing spent.

        Args:
            read: this rank's GPU's joules since any moment; None where it has no number.
            method: how they are measured, for the records.
            earlier: what is recorded of the run up to a step.
            wait: returns when the GPU has done what it was given.
            close: ends what `read` needs.
        """
        self.method, self.close = method, close
        self._read, self._earlier, self._wait = read, earlier, wait
        self._before: float | None = None
        self._spent: float | None = 0.0
        self._from: float | None = None
        self._counts = self._began = False

    def count(self, step: int) -> None:
        """Count from here on, if it does not already: the step is about to be trained."""
        if not self._began:
            self._before, self._began = self._earlier(step - 1), True
        if not self._counts:
            self._counts, self._from = True, self._read()

    def pause(self) -> None:
        """Count nothing until `count` is called again."""
        self._take()
        self._counts = False

    def total(self) -> float | None:
        """Joules of all steps of the run, of all ranks; None where any of it is not known. Every
        rank has to ask."""
        self._take()
        own = [math.nan if one is None else one for one in (self._spent, self._before)]
        spent, before = torch.tensor(own, dtype=torch.float64).unbind()
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(spent)
        joules = float(spent + before)
        return joules if math.isfinite(joules) else None

    def _take(self) -> None:
        """Add what was spent since the last reading."""
        if not self._counts:
            return
        self._wait()
        now, last = self._read(), self._from
        self._from = now
        # A counter that went back was set to zero, with its driver.
        if self._spent is None or now is None or last is None or now < last:
            self._spent = None
        else:
            self._spent += now - last


def meter_of(device: str, records: Path) -> EnergyMeter | None:
    """The meter of this rank, or None on a CPU. Call in every rank, after they have joined.

    Args:
        device: "cpu" or "cuda".
        records: the run's `records.jsonl`.
    """
    if device != "cuda":
        return None
    return _meter(f"GPU-{torch.cuda.get_device_properties().uuid}", records)


def _meter(uuid: str, records: Path) -> EnergyMeter:
    uuids: list[str] = [uuid]
    if dist.is_initialized() and dist.get_world_size() > 1:
        uuids = [uuid] * dist.get_world_size()
        dist.all_gather_object(uuids, uuid)

    def earlier(step: int) -> float | None:
        return recorded(records, step)

    here = dist.get_rank() if dist.is_initialized() else 0
    if not measures(uuids, here):  # another rank does
        return EnergyMeter(lambda: 0.0, method=COUNTER, earlier=earlier)
    gpu = find_gpu(uuid)
    if gpu is None or os.environ.get(SHARED_GPU):
        return EnergyMeter(lambda: None, method=COUNTER, earlier=earlier)
    ranks = uuids.count(uuid)
    sampled = SampledPower(gpu.watts) if gpu.method != COUNTER else None
    joules = gpu.counted if sampled is None else sampled.read

    def read() -> float | None:
        # What others compute on the GPU cannot be told from what the run does.
        return joules() if (gpu.processes() or 0) <= ranks else None

    return EnergyMeter(
        read,
        method=gpu.method,
        earlier=earlier,
        wait=torch.cuda.synchronize,
        close=sampled.close if sampled is not None else lambda: None,
    )


def measures(uuids: Sequence[str], rank: int) -> bool:
    """Whether a rank measures its GPU: the first one of those that train on it does.

    Args:
        uuids: of the GPUs of all ranks.
    """
    return list(uuids).index(uuids[rank]) == rank


def recorded(records: Path, step: int) -> float | None:
    """The joules that a run's records have at a step, the last ones written; 0 before the first
    step, None where there are none."""
    if step == 0:
        return 0.0
    found = None
    try:
        with open(records, encoding="utf-8", errors="replace", opener=plain_file) as file:
            for line in file:
                if f'"{JOULES}"' not in line:
                    continue
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # damaged: the store names it
                if (record.get("metric"), record.get("step")) == (JOULES, step):
                    found = record.get("value")
    except OSError:
        return None
    return found
