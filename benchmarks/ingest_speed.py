"""Seconds to ingest a million records, and to do it again when nothing has changed.

python benchmarks/ingest_speed.py [--records 1000000] [--runs 20]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from run_documents import run_document

from workbench.recipe import load_recipe
from workbench.runs.folder import RunFolder
from workbench.store import ingest, query


def write_runs(results: Path, runs: int, records: int) -> None:
    """Folders of runs as the workbench leaves them, still going on."""
    config = load_recipe("quickstart").runs[0].model_dump(mode="json")
    for number in range(runs):
        run_id = f"run{number:05d}"
        folder = RunFolder.create(results, run_id, run_document(run_id, config), {})
        with open(folder.records_path, "w") as file:
            for step in range(records // runs):
                record = {
                    "step": step,
                    "tokens": step * 2048,
                    "epoch": step * 0.16,
                    "flops": step * 1e9,
                    "metric": "train_loss",
                    "value": 5 / (1 + step),
                    "stderr": None,
                    "n": None,
                    "estimator": "nll",
                }
                file.write(json.dumps(record, separators=(",", ":")) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        write_runs(results, arguments.runs, arguments.records)
        for what in ("first", "again, unchanged", "rebuild"):
            began = time.perf_counter()
            report = ingest(results, rebuild=what == "rebuild")
            seconds = time.perf_counter() - began
            print(f"{what}: {report.records:,} records in {seconds:.2f} s")
        print(f"rows: {query(results, 'SELECT count(*) FROM metrics').item():,}")


if __name__ == "__main__":
    main()
