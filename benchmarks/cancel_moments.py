"""`workbench cancel` at moments spread over runs' lives, and what becomes of the runs.

python benchmarks/cancel_moments.py [--moments 50] [--slurm 10] [--seed 0] [--folder DIR]

Studies of short runs, some with a longer one on the trunk of each, are trained by `workbench run`
on this machine, and on a real Slurm of two nodes. Each short run is cancelled at a moment of its
life: as soon as its folder is there, while it waits, while its worker imports, after a share of its
training, and when its last step is recorded. A run has to be cancelled with steps left, or to be
finished with every step recorded; what `cancel` answered has to be so; and the longer runs, which
would have gone on from the cancelled ones, have to finish.

Prints a line a run and a table. Exit status 1 where anything is amiss.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from commands import workbench
from disturbed import ended, environment, two_nodes
from small_study import write_small_study

from workbench.running.control import cancel
from workbench.runs.folder import RunFolder, list_runs

SHORT, LONG, TOKENS_A_STEP = 400, 440, 512
FIRST = ("submitted", "starting", "starting", "starting", "starting")
"""When a study's first run is cancelled, study by study: the others find the imports done."""
OTHERS = (*("training", "waiting", "training", "last step") * 2, "training")
WITH_LONGER = 1  # studies, of those on a machine, whose runs have a longer one on their trunk
PATIENCE_S = 900.0
KEYS = {
    "data": "unique_tokens = 2_048\nvalidation_tokens = 2_048",
    "training": "log_every = 1\ndecay_fraction = 0.25\nwarmup_tokens = 1_024\n"
    'checkpoint_every = 20\ndevice = "cpu"',
}


@dataclass
class Cancelled:
    """One run that was cancelled."""

    where: str
    kind: str
    share: float
    answer: str = ""
    state: str = ""
    last_step: int = 0

    @property
    def outcome(self) -> str:
        whole = self.last_step == SHORT
        if self.state == "cancelled" and not whole:
            return "obeyed"
        if self.state == "finished" and whole and not self.answer.endswith("cancelled."):
            return "finished"
        return "WRONG"


def recorded_step(run: RunFolder) -> int:
    """The last step whose loss is in the records."""
    try:
        lines = run.records_path.read_bytes().splitlines()
    except FileNotFoundError:
        return 0
    steps = [0]
    for line in lines:
        try:
            steps.append(json.loads(line)["step"])
        except ValueError:
            continue  # being written
    return max(steps)


def short_runs(results: Path) -> dict[int, RunFolder]:
    """By their seed."""
    found = {}
    for run in list_runs(results):
        document = run.config_json()
        if document["derived"]["steps"] == SHORT:
            found[document["config"]["training"]["seed"]] = run
    return found


def wait_for(true: Callable[[], object], process: "subprocess.Popen[bytes]") -> bool:
    """Whether it came about while the study's command was there."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if true():
            return True
        if process.poll() is not None:
            return bool(true())
        time.sleep(0.002)
    return False


@dataclass
class Pace:
    """How long runs take on this machine at the moment, as last seen."""

    imports_s: float = 10.0
    life_s: float = 3.0


def moments(count: int, rng: random.Random) -> list[list[tuple[str, float]]]:
    """By study, for each run the kind of its moment and how far into that kind it is."""
    size = 1 + len(OTHERS)
    kinds = [
        FIRST[i // size % len(FIRST)] if i % size == 0 else OTHERS[i % size - 1]
        for i in range(count)
    ]
    drawn = [(kind, rng.random()) for kind in kinds]
    return [drawn[first : first + size] for first in range(0, count, size)]


class Study:
    """A study whose short runs are cancelled, each at its moment."""

    def __init__(
        self, where: str, folder: Path, moments: list[tuple[str, float]], lengths: list[int]
    ) -> None:
        self.where, self.results, self.moments = where, folder / "results", moments
        self.lengths = [TOKENS_A_STEP * steps for steps in lengths]

    def run(self, recipe: Path, pace: Pace) -> Iterator[Cancelled]:
        on_slurm = ("--launcher", "slurm", "--wait") if self.where == "Slurm" else ("--jobs", "1")
        seeds = list(range(len(self.moments)))
        sets = (
            f"sweep.training.seed={seeds}",
            f"sweep.training.total_tokens={self.lengths}",
            'training.objective="ar"',
            "evaluation.every_tokens=102400",
            "launcher.slurm.array_throttle=1",
        )
        words = [word for one in sets for word in ("--set", one)]
        command = workbench("run", recipe, "--results", self.results, *on_slurm, *words)
        with ended(str(self.results)), open(self.results.with_suffix(".log"), "wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment(str(self.results))
            )
            studied = self.results / "studies" / "small.json"
            assert wait_for(studied.exists, process), log.name
            began = time.monotonic()
            runs = short_runs(self.results)
            for seed, (kind, share) in enumerate(self.moments):
                done = Cancelled(self.where, kind, share)
                self._wait_for_moment(
                    runs[seed], kind, share, process, began, pace, first_to_train=seed == 1
                )
                (done.answer,) = cancel(self.results, runs[seed].run_id)
                yield self._settled(done, runs[seed], process)
            process.wait(PATIENCE_S)
        for run in list_runs(self.results):
            steps, state = run.config_json()["derived"]["steps"], run.status().state
            if steps == LONG and state != "finished":
                yield Cancelled(self.where, "the longer run", 0.0, f"{run.run_id}", state)

    def _wait_for_moment(
        self,
        run: RunFolder,
        kind: str,
        share: float,
        process: "subprocess.Popen[bytes]",
        began: float,
        pace: Pace,
        *,
        first_to_train: bool,
    ) -> None:
        if kind == "submitted":
            return
        if kind in ("waiting", "starting"):
            time.sleep(share * (pace.life_s if kind == "waiting" else pace.imports_s))
            return
        wait_for(run.is_claimed, process)
        claimed = time.monotonic()
        if first_to_train:
            pace.imports_s = claimed - began
        if kind == "training":
            time.sleep(share * pace.life_s)
            return
        wait_for(lambda: recorded_step(run) == SHORT, process)
        pace.life_s = time.monotonic() - claimed
        time.sleep(share * 0.02)  # around the last evaluation, the checkpoint and the status

    def _settled(
        self, done: Cancelled, run: RunFolder, process: "subprocess.Popen[bytes]"
    ) -> Cancelled:
        over = ("finished", "cancelled", "failed", "diverged")
        wait_for(lambda: run.status().state in over, process)
        time.sleep(0.5)  # and it stays so
        done.state, done.last_step = run.status().state, recorded_step(run)
        return done


@contextmanager
def slurm_here(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, two_nodes(Path(folder) / "nodes"):
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=50, help="on this machine")
    parser.add_argument("--slurm", type=int, default=10, help="on Slurm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    rng = random.Random(given.seed)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="cancel-"))
    folder.mkdir(parents=True, exist_ok=True)
    write_small_study(folder, documents=200, **KEYS)
    seen: Counter[tuple[str, str, str]] = Counter()
    for where, count in (("here", given.moments), ("Slurm", given.slurm)):
        pace = Pace()
        with slurm_here(where == "Slurm" and count > 0):
            for number, drawn in enumerate(moments(count, rng)):
                place = folder / f"{where}-{number}"
                place.mkdir()
                study = Study(where, place, drawn, [SHORT, LONG][: 1 + (number < WITH_LONGER)])
                for done in study.run(folder / "small.toml", pace):
                    seen[where, done.kind, done.outcome] += 1
                    print(
                        f"{where:<6} {done.kind:<15} {done.share:.2f} {done.outcome:<9} "
                        f"{done.state} at step {done.last_step}; {done.answer}",
                        flush=True,
                    )
    print("\n| where | moment | obeyed | finished | wrong |\n|---|---|---|---|---|")
    for where, kind in dict.fromkeys((where, kind) for where, kind, _ in seen):
        counts = (seen[where, kind, outcome] for outcome in ("obeyed", "finished", "WRONG"))
        print(f"| {where} | {kind} | {' | '.join(map(str, counts))} |")
    return int(any(outcome == "WRONG" for _, _, outcome in seen))


if __name__ == "__main__":
    sys.exit(main())
