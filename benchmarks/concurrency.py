"""Sixteen processes on one results folder: writers, ingests, exports, questions; errors and losses.

python benchmarks/concurrency.py [--minutes 10] [--folder DIR]

Six train (they hold a run, append records, finish it, begin another), three ingest, one of them
with --rebuild now and then, one exports the store as a dataset, four ask the store and two the
dataset. Every question checks that the runs it sees are whole: steps 1 to n, each once; and counts
as SHRUNK where a run has fewer than before: a rebuild may show what it read when it began, and the
next ingest brings the rest. At the end, every record written has to be in the store, once. Exit
status 1 where anything was lost or torn, or anybody met an error other than a lock that outlasted
its patience.
"""

import argparse
import collections
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from run_documents import run_document

from workbench.errors import WorkbenchError
from workbench.recipe import load_recipe
from workbench.runs.files import write_json
from workbench.runs.folder import RunFolder
from workbench.runs.records import RecordWriter
from workbench.store import ingest, query
from workbench.store.parquet.export import export_parquet

WHOLE = """SELECT run_id, count(*) AS n, count(DISTINCT step) AS steps, max(step) AS last
           FROM metrics GROUP BY run_id"""
Told = collections.Counter


def train(results: Path, until: float, number: int, told: Told) -> None:
    """Write runs of 100 to 2,000 records, as a trainer does."""
    config = load_recipe("quickstart", ["training.objective='ar'"]).runs[0].model_dump(mode="json")
    rng = random.Random(number)
    while time.time() < until:
        run_id = f"w{number}-{told['runs written']:05d}"
        run = RunFolder.create(results, run_id, run_document(run_id, config), {"host": "made"})
        with run.claim():
            run.write_status(state="running", attempts=1)
            writer = RecordWriter(run.records_path)
            for step in range(1, rng.randint(100, 2000) + 1):
                writer.write(step=step, tokens=step, epoch=1.0, flops=1.0, metric="train_loss",
                             value=1 / step)  # fmt: skip
                told["records written"] += 1
                if step % 50 == 0:
                    writer.flush(fsync=False)
                    time.sleep(0.05)
                    if time.time() > until:
                        break
            writer.flush(fsync=True)
            writer.close()
            run.write_status(state="finished", step=step)
        told["runs written"] += 1


def bring_in(results: Path, until: float, number: int, told: Told) -> None:
    """Ingest; the first of them makes the store anew at times."""
    while time.time() < until:
        rebuild = number == 0 and told["ingests"] % 10 == 9
        report = ingest(results, rebuild=rebuild)
        told["ingests"] += 1
        told["rebuilds"] += rebuild
        for problem in report.problems:
            told[f"PROBLEM {problem}"] += 1
        time.sleep(random.random())


def export(results: Path, until: float, number: int, told: Told) -> None:
    """Keep the dataset up to date."""
    while time.time() < until:
        report = export_parquet(results, str(results / "dataset"))
        told["exports"] += 1
        told["files exported"] += report.written
        time.sleep(random.random())


def ask(where: Path, until: float, number: int, told: Told) -> None:
    """Ask, and check that every run is whole and grows."""
    seen: dict[str, int] = {}
    while time.time() < until:
        for run_id, n, steps, last in query(where, WHOLE).iter_rows():
            if not n == steps == last:
                told[f"TORN {run_id}: {n} rows, {steps} steps, the last {last}"] += 1
            if n < seen.get(run_id, 0):
                told["SHRUNK"] += 1
            seen[run_id] = n
        told["questions"] += 1
        time.sleep(random.random() / 4)


ROLES: list[tuple[Callable[[Path, float, int, Told], None], int, str]] = [
    (train, 6, ""), (bring_in, 3, ""), (export, 1, ""), (ask, 4, ""), (ask, 2, "dataset"),
]  # fmt: skip


def work(role: int, number: int, results: Path, until: float) -> None:
    """One of the sixteen; what it did and met is left in a file."""
    function, _, below = ROLES[role]
    told: Told = collections.Counter()
    while time.time() < until:
        try:
            function(results / below, until, number, told)
        except WorkbenchError as error:
            kind = "LOCKED OUT" if "still open elsewhere" in str(error) else "ERROR"
            told[f"{kind} {function.__name__}: {error}"] += 1
        except Exception as error:
            told[f"ERROR {function.__name__}: {type(error).__name__}: {error}"] += 1
            time.sleep(0.1)
    write_json(results / f"told-{role}-{number}.json", dict(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="workbench-concurrency-", dir=arguments.folder))
    results = folder / "results"
    (results / "runs").mkdir(parents=True)
    ingest(results)
    export_parquet(results, str(results / "dataset"))
    until = time.time() + 60 * arguments.minutes
    spawn = multiprocessing.get_context("spawn")
    everybody = [
        spawn.Process(target=work, args=(role, number, results, until))
        for role, (_, count, _) in enumerate(ROLES)
        for number in range(count)
    ]
    for one in everybody:
        one.start()
    for one in everybody:
        one.join()
    told: Told = collections.Counter()
    for path in results.glob("told-*.json"):
        told.update(json.loads(path.read_text()))
    if len(list(results.glob("told-*.json"))) != len(everybody):
        told["ERROR a process died"] += 1
    ingest(results)
    export_parquet(results, str(results / "dataset"))
    written = told["records written"]
    for where in (results, results / "dataset"):
        stored = query(where, "SELECT count(*) FROM metrics").item()
        print(f"{where.name}: {stored:,} of {written:,} records, {written - stored:,} lost")
        told["LOST"] += abs(written - stored)
    print(f"{len(everybody)} processes, {arguments.minutes:g} minutes")
    for what, count in sorted(told.items()):
        print(f"{count:>9,}  {what}")
    bad = [what for what in told if what.split()[0] in ("ERROR", "TORN", "PROBLEM")]
    shutil.rmtree(folder)
    sys.exit(bool(bad or told["LOST"]))


if __name__ == "__main__":
    main()
