"""A disk that is full at each stage of a study, and what is said, lost and left.

python benchmarks/full_disk.py [--only WORD,...] [--points 8]

Needs root, for a small file system of its own (a tmpfs). For each command it is first measured how
much of the disk the command takes; then the disk is filled but for a ladder of sizes up to that, so
that space runs out everywhere on the way. The command has to end with a status other than 0 and a
message that names the folder and the lack of space, without a traceback; files that were there
before have to be as they were, and the store's records too. Once there is room, the same command
has to finish, with what it gives undisturbed and no file beside that. Exit status 1 where not.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from commands import workbench
from disturbed import records
from small_disks import PAGE, Outcome, fill, free, outcome, ran_out, small_disk, sums
from small_study import write_small_study

RUN = "run {base}/small.toml --jobs 1 --retry-failed"
ONE = f"{RUN} --set training.objective=ar"


@dataclass(frozen=True)
class Stage:
    """A command, what there is when it begins, and the sizes that the disk is filled up to."""

    name: str
    start: str
    """nothing, data, trained (no store), stored, or drawn (stored, with figures and a report)."""
    command: str
    fine: int = 0
    """So many sizes of one page more each; else a ladder up to what the command takes."""


STAGES = [
    Stage("preparing data", "nothing", ONE, fine=6),
    Stage("run folders, records", "data", ONE, fine=9),
    Stage("checkpoints, finishing", "data", ONE),
    Stage("evaluation files", "stored", "eval {run} --tasks cloze --questions 16", fine=2),
    Stage("ingest", "trained", "ingest"),
    Stage("ingest --rebuild", "stored", "ingest --rebuild"),
    Stage("export parquet", "stored", "export parquet {disk}/dataset"),
    Stage("export model", "stored", "export model {run} --out {disk}/model"),
    Stage(
        "figure", "drawn", "crossover small --metric val_loss --figure {disk}/figure.svg", fine=10
    ),
    Stage("report", "drawn", "report small --out {disk}/report.html", fine=10),
    Stage("Markdown report", "drawn", "report small --out {disk}/report.md", fine=10),
    Stage("importing", "stored", "import reference"),
    Stage("extending", "stored", "extend {run} --total-tokens 10_240 --jobs 1"),
]  # fmt: skip
# The store, and files that a command replaces whole: their readers are asked instead.
CHANGED = re.compile(
    r"workbench\.duckdb|status\.json|studies/|provenance\.json|slurm/|/lock$|log\.txt|/checked\.json$"
)


class Bench:
    """A trained study on an ordinary disk, copied to the small one for each case."""

    def __init__(self, base: Path, disk: Path) -> None:
        self.base, self.disk, self.results = base, disk, disk / "results"
        write_small_study(
            base,
            documents=200,
            data="unique_tokens = 2_048\nvalidation_tokens = 2_048",
            training="log_every = 1\ncheckpoint_every = 4",
            evaluation='tasks = ["cloze"]\ncloze_questions = 16',
        )
        for start, commands in {
            "stored": [RUN],
            "drawn": [stage.command for stage in STAGES if stage.start == "drawn"],
        }.items():
            for command in commands:
                done, _ = self.ask(command)
                assert done.returncode == 0, done.stderr
            shutil.copytree(disk, base / start)
        self.run_id = sorted((self.results / "runs").iterdir())[0].name
        shutil.copytree(base / "stored", base / "trained")
        for path in [
            *(base / "trained").rglob("*.parquet"),
            *base.glob("trained/results/*.duckdb*"),
        ]:
            path.unlink()
        shutil.copytree(base / "stored" / "results" / "data", base / "data" / "results" / "data")
        (base / "nothing").mkdir()

    def ask(self, command: str) -> tuple["subprocess.CompletedProcess[str]", int]:
        """Run a command; how it ended, and the most that it took of the disk."""
        words = [
            word.format(base=self.base, disk=self.disk, run=getattr(self, "run_id", ""))
            for word in command.split()
        ]
        before = least = free(self.disk)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            command = [*workbench(*words), "--results", str(self.results)]
            with subprocess.Popen(command, stdout=out, stderr=err) as process:
                try:
                    while process.poll() is None:
                        least = min(least, free(self.disk))
                        time.sleep(0.005)
                finally:
                    process.kill()
            out.seek(0), err.seek(0)
            done = subprocess.CompletedProcess(words, process.returncode, out.read(), err.read())
        return done, before - least

    def fresh(self, start: str) -> None:
        for path in self.disk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.base / start, self.disk, dirs_exist_ok=True)

    def case(self, stage: Stage, leave: int, expected: Outcome) -> tuple[str, list[str]]:
        """Where the space ran out, and what is wrong with what came of it."""
        self.fresh(stage.start)
        before = sums(self.disk)
        stored = self._records()
        filler = fill(self.disk, leave)
        done, _ = self.ask(stage.command)
        filler_size = filler.stat().st_size
        wrong = [f"the filler has {filler_size} bytes"] if filler_size == 0 else []
        enough = done.returncode == 0
        said = done.stderr
        if "Traceback" in said or "Internal error" in said:
            wrong.append(f"a traceback: {said.strip()[-400:]}")
        if not enough and not ("space" in said and str(self.disk) in said):
            wrong.append(f"neither the folder nor the lack of space: {said.strip()[-400:]}")
        # An answer that the store has no room to keep is an answer all the same: a note.
        if enough and any("space" in line and "Note:" not in line for line in said.splitlines()):
            wrong.append(f"status 0: {said.strip()[-400:]}")
        wrong += self._lost(before, stored)
        filler.unlink()
        if not enough or "`workbench ingest` brings" in said:  # as the note asks for
            done, _ = self.ask("ingest" if enough else stage.command)
            if done.returncode:
                wrong.append(f"does not go on: {done.stderr.strip()[-400:]}")
        wrong += expected.unlike(outcome(self.disk, self._records()))
        return "" if enough else ran_out(said, self.disk), wrong

    def _records(self) -> pl.DataFrame | None:
        there = (self.results / "workbench.duckdb").exists()
        return records(self.results) if there else None

    def _lost(self, before: dict[str, str], stored: pl.DataFrame | None) -> list[str]:
        after = sums(self.disk)
        wrong = [f"{path} is gone" for path in before if path not in after]
        wrong += [
            f"{path} has changed"
            for path, checksum in before.items()
            if path in after and after[path] != checksum and not CHANGED.search(path)
        ]
        if stored is not None:
            try:
                now = self._records()
                missing = stored.join(now, on=now.columns, how="anti", nulls_equal=True).height
                wrong += [f"{missing} records left the store"] if missing else []
            except Exception as error:
                wrong.append(f"the store cannot be read: {error}")
        return wrong


def ladder(stage: Stage, peak: int, points: int) -> list[int]:
    """How much of the disk to leave."""
    if stage.fine:
        return [PAGE * number for number in range(stage.fine)]
    parts = {int(peak * number / points) // PAGE * PAGE for number in range(points)}
    return sorted(parts | {PAGE, 4 * PAGE, max(0, peak - 2 * PAGE) // PAGE * PAGE})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="stages that hold one of these, with commas")
    parser.add_argument("--points", type=int, default=8, help="sizes of a ladder")
    arguments = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory(prefix="full-disk-") as name:
        base = Path(name) / "base"
        base.mkdir()
        with small_disk(Path(name) / "disk") as disk:
            bench = Bench(base, disk)
            print("| stage | takes, KiB | sizes | ran out | wrong | where |")
            for stage in STAGES:
                if not any(word in stage.name for word in arguments.only.split(",")):
                    continue
                bench.fresh(stage.start)
                done, peak = bench.ask(stage.command)
                assert done.returncode == 0, done.stderr
                expected = outcome(disk, bench._records())
                where: Counter[str] = Counter()
                sizes = ladder(stage, peak, arguments.points)
                bad = 0
                for leave in sizes:
                    place, wrong = bench.case(stage, leave, expected)
                    where[place] += 1
                    bad += bool(wrong)
                    failures += [(stage.name, leave // 1024, one) for one in wrong]
                    for one in wrong:
                        print(f"{stage.name}, {leave // 1024} KiB: {one}", flush=True)
                short = sum(count for place, count in where.items() if place)
                told = ", ".join(f"{place} {count}" for place, count in where.items() if place)
                print(
                    f"| {stage.name} | {peak // 1024:,} | {len(sizes)} | {short} | {bad} "
                    f"| {told} |",
                    flush=True,
                )
    print(f"{len(failures)} wrong")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
