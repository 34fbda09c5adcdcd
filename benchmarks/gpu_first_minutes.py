"""The first minutes on a real GPU: nine at most, the most telling measurements first.

Each step is a process with a time of its own, stopped when that is over; what it has measured by
then is in the file already.

| step | what |
|---|---|
| `imports-and-25M` | seconds of the imports; a 25M run, begun to end |
| `attention` | SDPA's backends, both ways; masks of each type against plain arithmetic |
| `products` | the 1B's, those of one input apart and as one |
| `mdlm-eager`, `ar-eager`, `mdlm-compiled`, `ar-compiled` | the 1B, 8 x 2048, as `gpu.py` |
| `profile` | three compiled steps of it, by kernel |
| `small` | 0.2M alone, and eight at once |

    python benchmarks/gpu_first_minutes.py [--out FILE.json] [--minutes 9] [--steps NAME ...]
    python benchmarks/gpu_first_minutes.py --device cpu    # tries this program; measures no GPU

Without a GPU it says so, measures nothing and ends with status 0.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpu
from gpu_recipe import write_recipe

from workbench.recipe import load_recipe
from workbench.running.study import prepared_folders
from workbench.runs.files import write_json
from workbench.runs.folder import RunFolder

ROOM_S = 10.0  # of a step's time, for what it does around its runs
LEAST_S = 10.0  # for a step that is begun at all


@dataclass(frozen=True)
class Work:
    """What a step is given."""

    device: gpu.Device
    folder: Path
    seconds: float
    tell: Callable[[str, Any], None]
    """Puts a finding, by its name, into the file at once."""

    @property
    def on_gpu(self) -> bool:
        return self.device.kind == "cuda"

    def runs(self, name: str, *overrides: str, **changes: Any) -> list[RunFolder]:
        """Prepared run folders of `gpu_recipe`'s recipe, in a folder of their own."""
        asked = {
            "size": "1B" if self.on_gpu else "0.2M", "sequences": 8, "seq_len": None,
            "steps": 25 if self.on_gpu else 15, "objectives": ["mdlm"], "compile": False,
            "eager": True, "recompute": False,
        }  # fmt: skip
        folder = self.folder / name
        recipe = folder / "gpu.toml"
        if not folder.exists():  # else another of its runs was made already
            folder.mkdir()
            write_recipe(folder, argparse.Namespace(**(asked | changes)), self.device.kind)
        loaded = load_recipe(recipe, list(overrides))
        return list(prepared_folders(loaded, folder / "results").values())

    def train(self, run: RunFolder, *options: str) -> dict[str, Any]:
        seconds = max(1.0, self.seconds - ROOM_S)
        return gpu.row(run, gpu.train(run, *options, seconds=seconds), self.device)


def imports_and_25m(work: Work) -> None:
    began = time.perf_counter()
    command = [
        sys.executable,
        "-c",
        "import gpu_worker; gpu_worker.stand_in(); import workbench.running.worker",
    ]
    subprocess.run(command, check=True, cwd=Path(__file__).parent)
    work.tell("imports_seconds", time.perf_counter() - began)
    (run,) = work.runs("25M", size="25M" if work.on_gpu else "0.2M")
    began = time.perf_counter()
    found = work.train(run)
    work.tell("25M", found | {"seconds_begun_to_end": time.perf_counter() - began})


def _kernels(work: Work) -> Any:
    import gpu_kernels

    return gpu_kernels, gpu_kernels.OF_1B if work.on_gpu else gpu_kernels.TRIAL


def attention(work: Work) -> None:
    kernels, sizes = _kernels(work)
    for name, found in kernels.attention_checks(sizes):
        work.tell(f"check: {name}", found)
    for name, found in kernels.attention_times(sizes):
        work.tell(f"time: {name}", found)


def products(work: Work) -> None:
    kernels, sizes = _kernels(work)
    for name, found in kernels.products(sizes):
        work.tell(name, found)


def trained(objective: str, *, compiled: bool) -> Callable[[Work], None]:
    """The step that trains the 1B with an objective."""

    def step(work: Work) -> None:
        modes = {"compile": compiled, "eager": not compiled}
        (run,) = work.runs("1B", objectives=[objective], **modes)
        work.tell("run", work.train(run))

    return step


def profile(work: Work) -> None:
    (run,) = work.runs("profile", compile=True, eager=False, steps=15)
    file = work.folder / "profile.json"
    found = work.train(run, "--profile", str(file))
    work.tell("run", found)
    if file.exists():
        work.tell("three_steps", json.loads(file.read_text()))


def small(work: Work) -> None:
    """Runs of 0.2M by their own speeds, while all of them train: the middle of their records."""
    together = 8 if work.on_gpu else 2
    shape = {"size": "0.2M", "sequences": 32, "seq_len": 64, "steps": 400 if work.on_gpu else 20}

    def run(seed: int) -> RunFolder:
        (made,) = work.runs("small", 'data.tokenizer="bytes"', f"training.seed={seed}", **shape)
        return made

    alone = work.train(run(100))
    work.tell("alone", alone)
    runs = [run(seed) for seed in range(together)]
    began = time.perf_counter()
    processes = [gpu.start(run) for run in runs]
    for process in processes:
        left = work.seconds - ROOM_S - (time.perf_counter() - began)
        try:
            process.wait(max(1.0, left))
        except subprocess.TimeoutExpired:
            process.kill()
    middles = [statistics.median(found) for run in runs if (found := gpu.speeds(run))]
    work.tell("at_once", {"runs": together, "measured": len(middles), "tokens_per_second": middles})
    if middles and "tokens_per_second" in alone:
        ratio = sum(middles) / alone["tokens_per_second"]
        work.tell("together_over_alone", ratio)


@dataclass(frozen=True)
class Step:
    seconds: float
    """The most that it may take on a GPU."""
    measure: Callable[[Work], None]


STEPS = {
    "imports-and-25M": Step(55, imports_and_25m),
    "attention": Step(45, attention),
    "products": Step(30, products),
    "mdlm-eager": Step(65, trained("mdlm", compiled=False)),
    "ar-eager": Step(60, trained("ar", compiled=False)),
    "mdlm-compiled": Step(85, trained("mdlm", compiled=True)),
    "ar-compiled": Step(75, trained("ar", compiled=True)),
    "profile": Step(70, profile),
    "small": Step(55, small),
}
TRIAL_S = 240.0  # a step on a CPU: nothing is measured, and the machine may be busy


def work_on(name: str, seconds: float, out: Path, device: gpu.Device) -> None:
    """In a step's own process: measure, each finding written to `out` as it comes."""
    found: dict[str, Any] = {}

    def tell(key: str, value: Any) -> None:
        found[key] = value
        write_json(out, found)

    with tempfile.TemporaryDirectory() as folder:
        STEPS[name].measure(Work(device, Path(folder), seconds, tell))


def take(name: str, seconds: float, kind: str, folder: Path) -> dict[str, Any]:
    """One step in a process of its own, with all that it starts; what it found."""
    out, log = folder / f"{name}.json", folder / f"{name}.log"
    command = [sys.executable, __file__, "--device", kind, "--step", name, str(seconds), str(out)]
    began = time.perf_counter()
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        code = process.wait(seconds)
        state = "done" if code == 0 else "failed"
    except subprocess.TimeoutExpired:
        state = "stopped at its time"
    _end(process)
    told: dict[str, Any] = {
        "state": state,
        "seconds": round(time.perf_counter() - began, 1),
        "at_most_seconds": seconds,
        "found": json.loads(out.read_text()) if out.exists() else {},
    }
    if state == "failed":
        told["log"] = log.read_text(errors="replace").splitlines()[-15:]
    return told


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what a step has left: its session, which is its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def measure(names: list[str], out: Path, device: gpu.Device, minutes: float) -> dict[str, Any]:
    """Take the steps in order, and write the file after each."""
    import torch

    found: dict[str, Any] = {
        "device": device.name,
        "is_gpu_measurement": device.kind == "cuda",
        "note": "" if device.kind == "cuda" else gpu.NO_MEASUREMENT,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "steps": {},
    }
    write_json(out, found)
    end = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            bound = STEPS[name].seconds if device.kind == "cuda" else TRIAL_S
            seconds = min(bound, end - time.monotonic())
            if seconds < LEAST_S:
                told: dict[str, Any] = {"state": "left out: no time was left"}
            else:
                told = take(name, round(seconds, 1), device.kind, Path(folder))
            found["steps"][name] = told
            write_json(out, found)
            print(f"{name}: {told['state']}, {told.get('seconds', 0)} s", file=sys.stderr)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("first-minutes.json"))
    parser.add_argument("--minutes", type=float, default=9.0, help="at most, in all (9)")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    began = time.monotonic()
    device = gpu.find_device(arguments.device)
    if device is None:
        print(gpu.NO_GPU)
        return 0
    if arguments.step:
        name, seconds, out = arguments.step
        work_on(name, float(seconds), Path(out), device)
        return 0
    minutes = arguments.minutes - (time.monotonic() - began) / 60
    found = measure(arguments.steps, arguments.out, device, minutes)
    print(f"{found['device']}, torch {found['torch']}. {found['note']}", file=sys.stderr)
    return 0 if all(step["state"] == "done" for step in found["steps"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
