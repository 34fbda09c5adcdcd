"""Training tokens a second of a whole sweep of small runs, beside one process a run.

All train the same runs (AR and diffusion, 0.2M parameters, some seeds) from the first command to
the last record. One process a run is what `torchrun` or a shell loop over a script does, each
importing torch and titan for itself: one after the other on both cores, or two at a time with a
thread each.
The sides take turns.

    python benchmarks/sweep_speed.py [--tokens 40960 204800 819200] [--runs 8] [--blocks 3]
                                     [--compile]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from commands import workbench

from workbench.planning.prepare import prepare_study
from workbench.recipe import load_recipe
from workbench.running.environment import worker_environment
from workbench.running.study import make_folders
from workbench.runs.folder import RunFolder
from workbench.store.read_records import read_records

AT_ONCE = 2
ONE_BY_ONE, TWO_AT_ONCE, SWEEP = "one after the other", "two at a time", "workbench run"


def make_runs(results: Path, overrides: list[str]) -> list[RunFolder]:
    """The sweep's run folders, its data prepared."""
    recipe = load_recipe("quickstart", overrides)
    return list(make_folders(recipe, prepare_study(recipe, results), results).values())


def one_process_a_run(runs: list[RunFolder], at_once: int) -> float:
    """Seconds for all of them."""
    began = time.perf_counter()
    environment = {**os.environ, **worker_environment(AT_ONCE // at_once)}
    waiting, working = list(runs), []
    while waiting or working:
        while waiting and len(working) < at_once:
            place = str(waiting.pop(0).path.absolute())
            command = [sys.executable, "-m", "workbench.running.torchrun", "rank"]
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
    command = workbench("run", "quickstart", "--jobs", str(AT_ONCE), "--results", results)
    command += [f"--set={key}" for key in overrides]
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def finished(runs: list[RunFolder]) -> None:
    left = [run.run_id for run in runs if run.status().state != "finished"]
    if left:
        raise SystemExit(f"not finished: {', '.join(left)}")


def compare(tokens: int, count: int, blocks: int, keys: list[str]) -> None:
    seeds = ",".join(str(seed) for seed in range(count // 2))
    overrides = [
        f"training.total_tokens={tokens}",
        "data.unique_tokens=12_800",
        f"sweep.training.seed=[{seeds}]",
        "sweep.data.unique_tokens=[12_800]",
        "evaluation.points=2",
        "evaluation.tasks=[]",
        *keys,
    ]
    rates: dict[str, list[float]] = {ONE_BY_ONE: [], TWO_AT_ONCE: [], SWEEP: []}
    for _ in range(blocks):
        for name, took in one_block(overrides).items():
            rates[name].append(count * tokens / took)
    mine = rates[SWEEP]
    told = f"{count} runs of {tokens:,} tokens, as a sweep {statistics.median(mine):,.0f} tokens/s"
    for name in (ONE_BY_ONE, TWO_AT_ONCE):
        ratios = [ours / theirs for ours, theirs in zip(mine, rates[name], strict=True)]
        told += (
            f"; one process a run, {name}, {statistics.median(rates[name]):,.0f}: "
            f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    print(told, flush=True)


def one_block(overrides: list[str]) -> dict[str, float]:
    """Seconds of each side, on folders of its own; that they come to the same losses."""
    took, losses = {}, {}
    for name in (ONE_BY_ONE, TWO_AT_ONCE, SWEEP):
        with tempfile.TemporaryDirectory() as folder:
            threads = AT_ONCE if name == ONE_BY_ONE else 1
            runs = make_runs(Path(folder), [*overrides, f"training.threads={threads}"])
            if name == SWEEP:
                took[name] = one_sweep(Path(folder), overrides)
            else:
                took[name] = one_process_a_run(runs, 1 if name == ONE_BY_ONE else AT_ONCE)
            finished(runs)
            losses[name] = [last_loss(run) for run in runs]
    if losses[SWEEP] != losses[TWO_AT_ONCE]:
        raise SystemExit("a run of the sweep has not the losses of the run by itself")
    return took


def last_loss(run: RunFolder) -> float:
    frame = read_records(run.records_path).frame.filter(metric="val_loss")
    return float(frame["value"][-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", nargs="+", type=int, default=[40_960, 204_800, 819_200])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    keys = ["training.compile=true"] if arguments.compile else []
    for tokens in arguments.tokens:
        compare(tokens, arguments.runs, arguments.blocks, keys)


if __name__ == "__main__":
    main()
