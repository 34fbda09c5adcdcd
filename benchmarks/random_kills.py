"""SIGKILL at random moments, to every process that takes part in a study; and what it leaves.

python benchmarks/random_kills.py [--kills 100] [--seed 0] [--targets ...] [--folder DIR]

A small quickstart is trained on this machine while its orchestrator or its workers are killed, and
on a real Slurm of two nodes while jobs' processes, nodes' daemons or the `workbench run` that
follows it are. Each victim is given its moment when it is born, drawn evenly from as long as its
like lives undisturbed; one that ends sooner is spared. What was killed is started again as a user
would: the same command, or `workbench retry` where runs are said to have failed; nodes come back.

At its end, a study's store, sealed files and record lines have to be those of an undisturbed study
to the last bit (apart from tokens per second), its attempts have to be counted, and no process may
be left. Exit status 1 where anything is amiss.

`--folder` keeps what was done: the same command goes on with what is missing, and `--minutes` ends
a piece (the study at hand is finished first).
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

import polars as pl
from commands import workbench
from disturbed import (
    check_study,
    ended,
    environment,
    outliving,
    records,
    small_quickstart,
    two_nodes,
)
from targets import LOCAL, TARGETS, Target, Victim

KILLS_A_STUDY = 8
MOST_COMMANDS = 40


@dataclass
class Told:
    """What became of one study."""

    target: str
    study: int
    kills: int = 0
    commands: int = 0
    records: int = 0
    attempts: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Moments:
    """Gives each victim its moment, and kills those whose moment has come."""

    def __init__(self, rng: random.Random, lives: dict[str, float], most: int) -> None:
        self.rng, self.lives, self.left = rng, lives, most
        # From when a victim is first seen: the kernel tells births to the second.
        self.seen: dict[tuple[str, float], float] = {}
        self.due: dict[tuple[str, float], float] = {}
        self.said: list[str] = []

    def see(self, victim: Victim) -> None:
        key = (victim.name, victim.born)
        if key not in self.due:
            span = self.lives[victim.kind] * victim.rarity
            self.seen[key] = time.time()
            self.due[key] = self.seen[key] + self.rng.uniform(0, span)
        if self.left > 0 and time.time() >= self.due[key]:
            self.due[key] = float("inf")
            self.left -= 1
            self.said.append(f"{victim.name} after {time.time() - self.seen[key]:.2f} s")
            victim.kill()


class Bench:
    """Undisturbed studies, and disturbed ones beside them."""

    def __init__(self, folder: Path, seed: int, stack: ExitStack) -> None:
        self.folder, self.seed, self.stack = folder, seed, stack
        self.told_path, self.lives_path = folder / "told.jsonl", folder / "lives.json"
        self.cluster = None
        self.expected = pl.DataFrame()

    def told(self) -> list[Told]:
        if not self.told_path.exists():
            return []
        return [Told(**json.loads(line)) for line in self.told_path.read_text().splitlines()]

    def lives(self) -> dict[str, float]:
        """How long each kind of victim lives undisturbed, as far as that was measured."""
        return json.loads(self.lives_path.read_text()) if self.lives_path.exists() else {}

    def prepare(self, names: list[str]) -> None:
        """One undisturbed study here, whose records all others must have, and one on Slurm."""
        results = self.folder / "undisturbed"
        if not self.lives():
            with ended("undisturbed"):
                self._measure("here", [name for name in TARGETS if name in LOCAL], results)
        self.expected = records(results)
        if set(names) <= set(LOCAL):
            return
        where = Path(tempfile.mkdtemp(prefix="slurm-"))  # sockets have short paths
        self.stack.callback(shutil.rmtree, where, ignore_errors=True)
        self.cluster = self.stack.enter_context(two_nodes(where / "cluster"))
        if "step" not in self.lives():
            on_slurm = [name for name in TARGETS if name not in LOCAL]
            results = self.folder / "undisturbed-slurm"
            with ended("undisturbed"):
                self._measure("on Slurm", on_slurm, results)
            assert not any(check_study(results, self.expected).counts.values())

    def _measure(self, where: str, names: list[str], results: Path) -> None:
        shutil.rmtree(results, ignore_errors=True)
        targets = [TARGETS[name](self.cluster, random.Random(0)) for name in names]
        seen: dict[str, float] = {}
        began: dict[tuple[str, float], float] = {}
        process = self._start(targets[0], results, 0, "undisturbed")
        while process.poll() is None:
            for victim in chain.from_iterable(target.living(process) for target in targets):
                life = time.time() - began.setdefault((victim.name, victim.born), time.time())
                seen[victim.kind] = max(seen.get(victim.kind, 0.0), life)
            time.sleep(0.1)
        assert process.returncode == 0, f"the undisturbed study {where} failed"
        self.lives_path.write_text(json.dumps(self.lives() | seen))
        told = ", ".join(f"{kind} {life:.1f} s" for kind, life in seen.items())
        print(f"undisturbed {where}: {told}", flush=True)

    def _start(
        self, target: Target, results: Path, number: int, mark: str
    ) -> "subprocess.Popen[bytes]":
        """`workbench run`; where runs have failed, `workbench retry`."""
        more = [] if target.name in LOCAL else ["--launcher", "slurm", "--wait"]
        command = [*small_quickstart(results), *more]
        log_path = results.with_suffix(".log")
        if number and "workbench retry" in log_path.read_text().rpartition("\n$ ")[2]:
            command = workbench("retry", "quickstart", "--results", results, *more)
        with open(log_path, "a") as log:
            print(f"\n$ {' '.join(command[3:])}", file=log, flush=True)
            return subprocess.Popen(
                command, env=environment(mark), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def disturb(self, name: str, study: int, most: int) -> Told:
        """Train a study to its end over kills, and check it."""
        told, began = Told(name, study), time.monotonic()
        rng = random.Random(f"{self.seed} {name} {study}")
        target = TARGETS[name](self.cluster, rng)
        moments = Moments(rng, self.lives(), most)
        results = self.folder / f"{name}-{study}"
        shutil.rmtree(results, ignore_errors=True)
        results.with_suffix(".log").unlink(missing_ok=True)
        mark = f"{self.folder}/{name}-{study}"
        done = False
        while not done and told.commands < MOST_COMMANDS:
            process = self._start(target, results, told.commands, mark)
            told.commands += 1
            while process.poll() is None:
                for victim in target.living(process):
                    moments.see(victim)
                target.tend()
                time.sleep(0.05)
            done = process.returncode == 0
            if name in LOCAL:
                self._count_orphans(told, mark)
        told.kills = len(moments.said)
        told.problems += [] if done else [f"not finished after {told.commands} commands"]
        told.problems += target.finish()
        self._count_orphans(told, mark)
        self._check(told, results)
        told.seconds = time.monotonic() - began
        print(f"{name} {study}: {'; '.join(moments.said)}", flush=True)
        with open(self.told_path, "a") as file:
            print(json.dumps(asdict(told)), file=file)
        return told

    def _count_orphans(self, told: Told, mark: str) -> None:
        left = outliving(mark)
        told.wrong["orphans"] = told.wrong.get("orphans", 0) + len(left)

    def _check(self, told: Told, results: Path) -> None:
        checked = check_study(results, self.expected)
        told.records, told.attempts = checked.records, checked.attempts
        told.wrong |= checked.counts
        said = results.with_suffix(".log").read_text()
        said += "".join(path.read_text() for path in results.glob("slurm/*/*.log"))
        if "Traceback" in said or "Internal error" in said:
            checked.problems.append("a command ended with a traceback")
        told.problems += checked.problems
        told.wrong["problems"] = len(told.problems)
        if not any(told.wrong.values()):
            shutil.rmtree(results)
            return
        print(f"WRONG {told.target} {told.study}: {told.wrong} {told.problems}", flush=True)


def show(everything: list[Told]) -> bool:
    """A table of all that was done; whether nothing was wrong with it."""
    print(
        "| target | kills | studies | attempts | records | lost | doubled | differing | orphans "
        "| problems | seconds |"
    )
    wrong: Counter[str] = Counter()
    for name in [*TARGETS, ""]:
        mine = [told for told in everything if name in ("", told.target)]
        counts: Counter[str] = Counter()
        for told in mine:
            counts.update(told.wrong)
        wrong = counts
        cells = [
            name or "all", sum(told.kills for told in mine), len(mine),
            sum(told.attempts for told in mine), sum(told.records for told in mine),
            *(counts[what] for what in ("lost", "doubled", "differing", "orphans", "problems")),
            round(sum(told.seconds for told in mine)),
        ]  # fmt: skip
        print("|", " | ".join(map(str, cells)), "|")
    for told in everything:
        for problem in told.problems:
            print(f"{told.target} {told.study}: {problem}")
    return not any(wrong.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="in all, shared by the targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", default=",".join(TARGETS), help="of " + ", ".join(TARGETS))
    parser.add_argument("--folder", type=Path, help="keep what was done there, and go on with it")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of this piece")
    arguments = parser.parse_args()
    names = arguments.targets.split(",")
    until = time.monotonic() + 60 * arguments.minutes
    with ExitStack() as stack:
        folder = arguments.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kills-")))
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder.absolute(), arguments.seed, stack)
        bench.prepare(names)
        for number, name in enumerate(names):
            wanted = (arguments.kills + number) // len(names)
            while time.monotonic() < until:
                mine = [told for told in bench.told() if told.target == name]
                left = wanted - sum(told.kills for told in mine)
                if left <= 0:
                    break
                with ended(f"{bench.folder}/{name}-{len(mine)}"):
                    bench.disturb(name, len(mine), min(left, KILLS_A_STUDY))
        everything = bench.told()
    if not show(everything):
        sys.exit(1)


if __name__ == "__main__":
    main()
