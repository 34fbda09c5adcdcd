"""Training speed and memory on one GPU: tokens a second, MFU, the roofline, the peak.

Both objectives at the paper's 1.086B parameters (1,792 wide, 26 layers, GPT-2's vocabulary) and
2,048 tokens of context in bfloat16, eager and compiled. Each is a run like any other, from a recipe
over its folder to a worker in a process of its own, without its checkpoints: speeds are its own
records. The text is random words: a step's time does not depend on them.

    python benchmarks/gpu.py [--sequences 8] [--steps 40] [--compile] [--eager] > gpu.json
    python benchmarks/gpu.py --device cpu --size 0.2M    # tries this program; measures no GPU

JSON goes to stdout, a short table to stderr. Without a GPU it says so, measures nothing and ends
with status 0.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_recipe import LOG_EVERY, write_recipe

from workbench.planning.flops import train_flops_per_data_token
from workbench.planning.gpus import GPUS, Gpu
from workbench.planning.memory import memory_per_gpu
from workbench.recipe import RunConfig, load_recipe, run_config
from workbench.running.environment import worker_environment
from workbench.running.study import prepared_folders
from workbench.runs.folder import RunFolder

# Memory bytes a second, of the makers' data sheets (SXM boards where there are several).
BANDWIDTH = {
    "a100-40gb": 1555e9, "a100-80gb": 2039e9, "h100": 3350e9, "h200": 4800e9,
    "b200": 8000e9, "l40s": 864e9, "rtx-4090": 1008e9,
}  # fmt: skip
NO_GPU = "No CUDA GPU here: nothing was measured."
NO_MEASUREMENT = "A trial of this program on a CPU: no measurement of a GPU."


@dataclass(frozen=True)
class Device:
    """What the runs train on."""

    kind: str
    name: str
    gpu: Gpu | None
    """None for one that workbench/planning/gpus.py does not know: then without MFU and roofline."""


def find_device(kind: str) -> Device | None:
    """The CPU where it is asked for, else the first GPU, or None where there is none."""
    import torch

    if kind == "cpu":
        return Device("cpu", "cpu", None)
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    alike = [gpu for gpu in GPUS.values() if gpu.told_as in properties.name]
    # Several memories by one name: the nearest.
    alike.sort(key=lambda gpu: abs(gpu.memory_bytes - properties.total_memory))
    return Device("cuda", properties.name, alike[0] if alike else None)


def start(run: RunFolder, *options: str) -> "subprocess.Popen[bytes]":
    """Begin to train a run in a process of its own; its report is to be `report_of(run)`."""
    command = [sys.executable, str(Path(__file__).with_name("gpu_worker.py"))]
    with open(run.log_path, "ab") as log:
        return subprocess.Popen(
            [*command, str(run.path.absolute()), str(report_of(run)), *options],
            env={**os.environ, **worker_environment(1)},
            stdout=log,
            stderr=log,
        )


def report_of(run: RunFolder) -> Path:
    return run.path.absolute() / "gpu-report.json"


def train(run: RunFolder, *options: str, seconds: float | None = None) -> dict[str, Any]:
    """Train a run in a process of its own; its worker's report, or {"error"}.

    Args:
        options: of `gpu_worker.py`.
        seconds: after which it is stopped.
    """
    process = start(run, *options)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return {"error": f"stopped after {seconds:.0f} s"}
    status = run.status()
    if status.state != "finished":
        print("\n".join(run.last_log_lines()), file=sys.stderr)
        return {"error": status.error or f"the run is {status.state}"}
    told: dict[str, Any] = json.loads(report_of(run).read_text())
    return told


def speeds(run: RunFolder) -> list[float]:
    """Tokens a second of each five steps, the first ten left out: they compile and warm up."""
    if not run.records_path.exists():
        return []
    lines = run.records_path.read_text().splitlines(keepends=True)
    records = [json.loads(line) for line in lines if line.endswith("\n")]
    return [
        record["value"]
        for record in records
        if record["metric"] == "tokens_per_second" and record["step"] > 2 * LOG_EVERY
    ]


def roofline(config: RunConfig, gpu: Gpu) -> dict[str, float | str]:
    """What no program can be faster than: the arithmetic at the peak, or the least traffic.

    Bytes of a step at the least: AdamW reads four float32 a parameter and writes three (28); the
    weights are cast to bfloat16 (6), read in both passes (4), and their gradients written, read and
    kept in float32 (8); each layer's input is written and read. Logits and what else is kept for
    the backward pass could stay on the chip, and do not count.
    """
    memory, tokens = memory_per_gpu(config), config.tokens_per_step
    moved = config.model.shape.n_params * (28 + 6 + 4 + 8) + 2 * memory.activations_recomputed
    flops = train_flops_per_data_token(config) * tokens
    computing, moving = flops / gpu.peak_flops, moved / BANDWIDTH[gpu.name]
    return {
        "gpu": gpu.name,
        "peak_flops_per_second": gpu.peak_flops,
        "bandwidth_bytes_per_second": BANDWIDTH[gpu.name],
        "flops_per_step": flops,
        "bytes_per_step": moved,
        "flops_per_byte": flops / moved,
        "computing_seconds": computing,
        "moving_seconds": moving,
        "bound": "computing" if computing > moving else "moving",
        "tokens_per_second": tokens / max(computing, moving),
    }


def row(run: RunFolder, report: dict[str, Any], device: Device) -> dict[str, Any]:
    """What one run came to."""
    config = run_config(run.config_json())
    memory, flops = memory_per_gpu(config), train_flops_per_data_token(config)
    told: dict[str, Any] = {
        "objective": config.training.objective,
        "mode": "compiled" if config.training.compile else "eager",
        "size": config.model.size,
        "n_params": config.model.shape.n_params,
        "seq_len": config.data.seq_len,
        "sequences": config.training.batch_size,
        "dtype": config.training.dtype,
        "flops_per_token": flops,
        "memory_estimate": memory.document(),
        "roofline": roofline(config, device.gpu) if device.gpu else None,
    } | report
    measured = speeds(run)  # of a run that was stopped too, as far as it came
    if not measured:
        return told | {"error": report.get("error", "no step was measured")}
    speed = statistics.median(measured)
    told |= {
        "tokens_per_second": speed,
        "tokens_per_second_range": [min(measured), max(measured)],
        "step_seconds": config.tokens_per_step / speed,
        "flops_per_second": flops * speed,
        "mfu": flops * speed / device.gpu.peak_flops if device.gpu else None,
    }
    if told["roofline"]:
        told["share_of_roofline"] = speed / told["roofline"]["tokens_per_second"]
    if device.kind == "cuda" and "memory" in report:
        told["memory_over_estimate"] = report["memory"]["steps_bytes"] / memory.training
    return told


def show(found: dict[str, Any]) -> None:
    """The table for people."""

    def line(*cells: object) -> None:
        print("{:10} {:9} {:>10} {:>7} {:>12} {:>12}".format(*cells), file=sys.stderr)

    print(f"{found['device']}, torch {found['torch']}. {found['note']}", file=sys.stderr)
    line("objective", "mode", "tokens/s", "MFU", "of roofline", "peak/est. GB")
    for one in found["rows"]:
        if "error" in one:
            line(one["objective"], one["mode"], "failed", "", "", "")
            continue
        mfu, share = one["mfu"], one.get("share_of_roofline")
        peak, estimate = one["memory"]["steps_bytes"], one["memory_estimate"]["training"]
        line(
            *(one["objective"], one["mode"], f"{one['tokens_per_second']:,.0f}"),
            "-" if mfu is None else f"{mfu:.3f}",
            "-" if share is None else f"{share:.3f}",
            f"{peak / 1e9:.1f}/{estimate / 1e9:.1f}" if peak else "-",
        )


def measure(arguments: argparse.Namespace, device: Device) -> dict[str, Any]:
    """Train every combination, one after the other."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recipe = load_recipe(write_recipe(folder, arguments, device.kind))
        runs = prepared_folders(recipe, folder / "results")
        rows = [row(run, train(run), device) for run in runs.values()]
    return {
        "device": device.name,
        "is_gpu_measurement": device.kind == "cuda",
        "note": "" if device.kind == "cuda" else NO_MEASUREMENT,
        "torch": next((one["torch"] for one in rows if "torch" in one), None),
        "rows": rows,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", help="of workbench/recipe/sizes.py; default 1B, on a CPU 0.2M")
    parser.add_argument("--sequences", type=int, default=8, help="a step (8)")
    parser.add_argument("--seq-len", type=int, help="default 2048, on a CPU 64")
    parser.add_argument("--steps", type=int, default=40, help="a run, 15 or more (40)")
    parser.add_argument("--objectives", nargs="+", default=["ar", "mdlm"])
    parser.add_argument("--compile", action="store_true", help="compiled alone; default: both")
    parser.add_argument("--eager", action="store_true", help="eager alone")
    parser.add_argument("--recompute", action="store_true", help="activation checkpointing")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    arguments = parser.parse_args()
    if arguments.steps < 3 * LOG_EVERY:
        parser.error(f"--steps {arguments.steps}: the first ten are left out; give 15 or more.")
    device = find_device(arguments.device)
    if device is None:
        print(NO_GPU)
        return 0
    found = measure(arguments, device)
    show(found)
    print(json.dumps(found, indent=1))
    return 1 if any("error" in one for one in found["rows"]) else 0


if __name__ == "__main__":
    sys.exit(main())
