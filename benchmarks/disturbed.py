"""What programs that disturb studies share: a small study, its records, processes with a mark.

Not a program of its own: see random_kills.py, slurm_quickstart.py and full_disk.py.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil
from commands import workbench

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.running.slurm.cluster import Cluster, start_cluster
from workbench.runs.folder import list_runs
from workbench.store import query
from workbench.store.read_records import RECORD_SCHEMA, read_records

REPOSITORY = Path(__file__).parents[1]
SMALL = {
    "training.total_tokens": "49_152",  # 24 steps
    "training.checkpoint_every": "6",
    "training.log_every": "1",
    "data.validation_tokens": "2_048",
    "evaluation.points": "3",
    "evaluation.cloze_questions": "16",
}
"""The quickstart's four runs, shrunk to seconds."""
BY_THE_CLOCK = ("tokens_per_second",)
_KEY = ["run_id", "metric", "step", "tokens", "estimator"]
_MARK = "WORKBENCH_DISTURBED"


def small_quickstart(results: Path) -> list[str]:
    """The command that trains it, and goes on with it."""
    sets = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    return workbench("run", "quickstart", "--results", results, *sets)


def environment(mark: str, **more: str) -> dict[str, str]:
    """For processes that `marked` finds again, however they were started."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), _MARK: mark, **more}


def marked(mark: str) -> list[psutil.Process]:
    """Every living process that has inherited a mark."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            living = process.status() != psutil.STATUS_ZOMBIE
            if living and process.environ().get(_MARK) == mark:
                found.append(process)
    return found


def outliving(mark: str, patience_s: float = 10.0) -> list[psutil.Process]:
    """Marked processes that are there still after a while; they are ended then."""
    until = time.monotonic() + patience_s
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.05)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return left


def records(results: Path) -> pl.DataFrame:
    """What the store holds, without what a clock measured."""
    columns = ", ".join(["run_id", *RECORD_SCHEMA])
    return _timeless(query(results, f"SELECT {columns} FROM metrics"))


def _timeless(frame: pl.DataFrame) -> pl.DataFrame:
    value = pl.when(pl.col("metric").is_in(BY_THE_CLOCK)).then(None).otherwise(pl.col("value"))
    return frame.select(["run_id", *RECORD_SCHEMA]).with_columns(value.alias("value"))


def compare(found: pl.DataFrame, expected: pl.DataFrame) -> Counter[str]:
    """How records differ from those of an undisturbed study, to the last bit."""
    columns = found.columns
    missing = expected.join(found, on=_KEY, how="anti", nulls_equal=True).height
    odd = found.join(expected, on=_KEY, how="anti", nulls_equal=True).height
    unlike = found.join(expected, on=columns, how="anti", nulls_equal=True).height
    return Counter(
        lost=missing,
        doubled=found.height - found.unique(_KEY).height,
        differing=unlike,  # those that nobody expected among them
        unexpected=odd,
    )


@dataclass(frozen=True)
class Checked:
    """What is wrong with a finished study."""

    records: int
    counts: Counter[str]
    attempts: int
    problems: list[str]


def check_study(results: Path, expected: pl.DataFrame) -> Checked:
    """Compare the store, made anew, the sealed files and every line that was ever written."""
    problems = []
    done = subprocess.run(
        workbench("ingest", "--rebuild", "--results", results), capture_output=True, text=True
    )
    if done.returncode or "Warning" in done.stderr:
        problems.append(f"ingest ended with {done.returncode}: {done.stderr.strip()}")
    stored = records(results)
    counts = compare(stored, expected)
    attempts = 0
    for run in list_runs(results):
        status = run.stored_status()
        attempts += status.attempts
        if status.state != "finished":
            problems.append(f"{run.run_id} is {status.state} ({status.error})")
        named = pl.lit(run.run_id).alias("run_id")
        own = expected.filter(pl.col("run_id") == run.run_id)
        sealed = _timeless(pl.read_parquet(run.sealed_path).with_columns(named))
        counts += compare(sealed, own)
        reading = read_records(run.records_path)
        problems += reading.problems
        lines = compare(_timeless(reading.frame.with_columns(named)), own)
        del lines["doubled"]  # a resumed run writes again what came after its checkpoint
        counts += lines
        # Each start of training says so in the log, so the two counts are independent.
        starts = run.log_path.read_text(errors="replace").count("Training starts")
        if status.attempts < max(1, starts):
            problems.append(f"{run.run_id}: {status.attempts} attempts, but trained {starts} times")
    return Checked(stored.height, counts, attempts, problems)


@contextmanager
def ended(mark: str) -> Iterator[None]:
    """Whatever ends the block, SIGTERM too: no marked process is left behind."""
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    except BaseException:
        outliving(mark, patience_s=0.0)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def two_nodes(folder: Path) -> Iterator[Cluster]:
    """A real Slurm of two nodes on this machine; all of it ends with the block."""
    folder.mkdir()
    cluster = start_cluster(folder)
    os.environ["SLURM_CONF"] = str(cluster.conf)
    os.environ["XDG_CONFIG_HOME"] = str(folder / "nobodys-own-settings")
    try:
        yield cluster
    finally:
        cluster.stop()
