"""Seconds from the last step of one run of a sweep to the first step of the next.

Eight tiny runs, one after the other in one slot, evaluation off but for the two points that
always count, whose time is taken off. Times are the workers' own, left in a file by each step.

    python benchmarks/sweep_overhead.py [--runs 8]
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from commands import workbench

RECIPE = """
[study]
name = "overhead"

[data]
corpus = "python-stdlib"
unique_tokens = 12_800
seq_len = 64
validation_tokens = 4_096

[model]
size = "0.2M"

[training]
objective = "ar"
total_tokens = 40_960
batch_size = 32
lr = 3e-3

[evaluation]
points = 1

[sweep]
"training.objective" = ["ar", "mdlm"]
"training.seed" = [{seeds}]
"""


def measure(runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recipe, events = Path(folder, "overhead.toml"), Path(folder, "events")
        seeds = ", ".join(str(seed) for seed in range((runs + 2) // 2))
        recipe.write_text(RECIPE.format(seeds=seeds))
        environment = {
            **os.environ,
            "WORKBENCH_WORKER_MODULE": "timed_worker",
            "OVERHEAD_EVENTS": str(events),
            "PYTHONPATH": str(Path(__file__).parent),
        }
        command = workbench("run", recipe, "--jobs", "1", "--results", folder)
        subprocess.run(command, env=environment, check=True)
        gaps = gaps_between_runs([json.loads(line) for line in events.read_text().splitlines()])
    gaps = gaps[:runs]
    print("seconds between runs, evaluation apart: " + " ".join(f"{gap:.2f}" for gap in gaps))
    print(f"mean of {len(gaps)}: {sum(gaps) / len(gaps):.2f} s")


def gaps_between_runs(events: list[dict[str, Any]]) -> list[float]:
    """From the end of a run's last step to the beginning of the next run's first."""
    gaps = []
    last_end, evaluation, between = None, 0.0, False
    for event in events:
        if event["kind"] == "run":
            between = last_end is not None
        elif event["kind"] == "evaluation":
            evaluation += event["ended"] - event["began"]
        else:
            if between and last_end is not None:
                gaps.append(event["began"] - last_end - evaluation)
            between = False
            last_end, evaluation = event["ended"], 0.0
    return gaps


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=8)
    measure(parser.parse_args().runs)
