"""Training tokens a second of a whole sweep of small runs, beside one process a run.

Both train the same runs (AR and diffusion, 0.2M parameters, some seeds), two at a time, one thread
each, from the first command to the last record. One process a run is what `torchrun` or a shell
loop over a script does: each imports torch and titan for itself. The two sides take turns.

    python benchmarks/sweep_speed.py [--tokens 40960 204800 819200] [--runs 8] [--blocks 3]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from workbench.launchers.environment import worker_environment
from workbench.recipe import load_recipe
from workbench.runner import make_folders, prepare_study
from workbench.runs import RunFolder

AT_ONCE = 2


def make_runs(results: Path, overrides: list[str]) -> list[RunFolder]:
    """The sweep's run folders, its data prepared."""
    recipe = load_recipe("quickstart", overrides)
    return list(make_folders(recipe, prepare_study(recipe, results), results).values())


def one_process_a_run(runs: list[RunFolder]) -> float:
    """Seconds for all of them."""
    began = time.perf_counter()
    environment = {**os.environ, **worker_environment(1)}
    waiting, working = list(runs), []
    while waiting or working:
        while waiting and len(working) < AT_ONCE:
            place = str(waiting.pop(0).path.absolute())
            command = [sys.executable, "-m", "workbench.launchers.torchrun", "rank"]
            working.append(
                subprocess.Popen(
                    [*command, str(os.getpid()), place],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        time.sleep(0.02)
        working = [process for process in working if process.poll() is None]
    return time.perf_counter() - began


def one_sweep(results: Path, overrides: list[str]) -> float:
    """Seconds of `workbench run`, its own start and the ingest at its end included."""
    command = [sys.executable, "-m", "workbench.cli", "run", "quickstart", "--jobs", str(AT_ONCE)]
    command += ["--results", str(results), *(f"--set={key}" for key in overrides)]
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def finished(runs: list[RunFolder]) -> None:
    left = [run.run_id for run in runs if run.status().state != "finished"]
    if left:
        raise SystemExit(f"not finished: {', '.join(left)}")


def compare(tokens: int, count: int, blocks: int) -> None:
    seeds = ",".join(str(seed) for seed in range(count // 2))
    overrides = [
        f"training.total_tokens={tokens}",
        "data.unique_tokens=12_800",
        f"sweep.training.seed=[{seeds}]",
        "sweep.data.unique_tokens=[12_800]",
        "evaluation.points=2",
        "evaluation.tasks=[]",
    ]
    rates: dict[str, list[float]] = {"one process a run": [], "workbench run": []}
    for _ in range(blocks):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            runs, ours = (make_runs(Path(folder), overrides) for folder in (one, two))
            trained = len(runs) * tokens
            rates["one process a run"].append(trained / one_process_a_run(runs))
            rates["workbench run"].append(trained / one_sweep(Path(two), overrides))
            finished([*runs, *ours])
    theirs, mine = (statistics.median(rates[name]) for name in rates)
    ratios = [b / a for a, b in zip(*rates.values(), strict=True)]
    print(
        f"{len(runs)} runs of {tokens:,} tokens: {theirs:,.0f} tokens/s with one process a run, "
        f"{mine:,.0f} as a sweep: {statistics.median(ratios):.2f} times "
        f"({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", nargs="+", type=int, default=[40_960, 204_800, 819_200])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=3)
    arguments = parser.parse_args()
    for tokens in arguments.tokens:
        compare(tokens, arguments.runs, arguments.blocks)


if __name__ == "__main__":
    main()
