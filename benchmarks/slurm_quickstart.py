"""The README's quickstart through a real Slurm of two nodes, one of which is lost on the way.

python benchmarks/slurm_quickstart.py [--at-step 63] [--back-after 20] [--same-as RESULTS]

`workbench run quickstart --launcher slurm --wait`, in full length. Once a run has come to that
step, its node's daemon is killed with all that is on the node; the node comes back after a while.
Prints what happened when, what `workbench status` says then, and the crossovers, which have to be
those that the README tells; with `--same-as`, a results folder of an undisturbed quickstart, the
crossovers and every record have to be the same to the last bit. Exit status 1 where they are not.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from commands import workbench
from disturbed import (
    REPOSITORY,
    check_study,
    ended,
    environment,
    outliving,
    records,
    two_nodes,
)

from tests.running.slurm.cluster import Cluster
from workbench.running.slurm.submissions import newest_elements, submissions
from workbench.runs.folder import RunFolder, list_runs

LIMIT_S = 1800


class Clock:
    """Says what happens, with the seconds since the beginning."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)


def answer(*arguments: str | Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        workbench(*arguments, "--format", "json"), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def node_of(cluster: Cluster, results: Path, run: RunFolder) -> str:
    job = newest_elements(submissions(results))[run.run_id].job
    return cluster.run("squeue", "-h", "-j", job, "-o", "%N").strip()


def lose_node(cluster: Cluster, results: Path, run: RunFolder, clock: Clock) -> str:
    """Kill the daemon of a run's node, and Slurm's processes over what runs there."""
    node = node_of(cluster, results, run)
    steps = cluster.steps_of(node)
    clock.say(
        f"run {run.run_id[:8]} is at step {run.status().step} on {node}: its daemon and "
        f"{len(steps)} steps are killed"
    )
    cluster.kill(node)
    for step in steps:
        step.kill()
    return node


def follow(
    process: "subprocess.Popen[bytes]",
    cluster: Cluster,
    results: Path,
    at_step: int,
    back_after: float,
    clock: Clock,
) -> None:
    """Look on until the command has ended; take a node away and bring it back."""
    states: dict[str, str] = {}
    lost, back_at = "", float("inf")
    while process.poll() is None:
        if time.monotonic() - clock.began > LIMIT_S:
            process.kill()
        for run in list_runs(results):
            status = run.stored_status()
            seen = f"{status.state}, attempt {status.attempts}"
            if states.get(run.run_id) != seen:
                states[run.run_id] = seen
                clock.say(f"run {run.run_id[:8]} is {seen}, at step {status.step}")
            if not lost and status.state == "running" and status.step >= at_step:
                lost = lose_node(cluster, results, run, clock)
                back_at = time.monotonic() + back_after
        if time.monotonic() > back_at:
            clock.say(f"{lost} comes back; Slurm had it as {cluster.node_states().get(lost)}")
            cluster.start_node(lost)
            back_at = float("inf")
        time.sleep(0.1)
    clock.say(f"`workbench run` ended with status {process.returncode}")


def check(results: Path, same_as: Path | None, clock: Clock) -> list[str]:
    """Print the runs and the crossovers; what is wrong with them."""
    for row in answer("status", "--results", results):
        print({key: row[key] for key in ("run_id", "state", "step", "attempts")})
    asked = ("crossover", "quickstart", "--metric", "val_loss", "--axis", "tokens")
    found = answer(*asked, "--results", results)
    clock.say("`workbench crossover` has answered")
    for row in found:
        print(f"{row['group']['unique_tokens']:,} unique tokens: {row['crossover']:,.0f} tokens")
    told = re.findall(
        r"cross at ([\d.]+)M and at ([\d.]+)M", (REPOSITORY / "README.md").read_text()
    )
    wrong = []
    if [f"{row['crossover'] / 1e6:.2f}" for row in found] != [*told[0]]:
        wrong.append(f"the README tells of crossovers at {told}")
    if same_as is not None:
        expected = answer(*asked, "--results", same_as)
        if [row["crossover"] for row in found] != [row["crossover"] for row in expected]:
            wrong.append(f"undisturbed, crossovers are {expected}")
        checked = check_study(results, records(same_as))
        wrong += checked.problems
        differing = {what: n for what, n in checked.counts.items() if n}
        wrong += [f"records: {differing}"] if differing else []
        print(f"{checked.records:,} records, {checked.attempts} attempts, differing: {differing}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at-step", type=int, default=63, help="of a run whose node is lost")
    parser.add_argument("--back-after", type=float, default=20.0, help="seconds without the node")
    parser.add_argument("--same-as", type=Path, help="results of an undisturbed quickstart")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    results, mark = folder / "results", str(folder)
    try:
        with ended(mark), two_nodes(folder / "cluster") as cluster:
            clock = Clock()
            command = workbench("run", "quickstart", "--results", results)
            process = subprocess.Popen(
                [*command, "--launcher", "slurm", "--wait"], env=environment(mark)
            )
            follow(process, cluster, results, arguments.at_step, arguments.back_after, clock)
            wrong = [] if process.returncode == 0 else ["`workbench run` failed"]
            wrong += [f"{one} is left" for one in outliving(mark)]
            wrong += check(results, arguments.same_as, clock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for one in wrong:
        print(f"WRONG: {one}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
