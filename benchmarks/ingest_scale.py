"""Time and peak memory of bringing many finished runs into a new store, and of exporting them.

python benchmarks/ingest_scale.py [--runs 10000] [--records 10000] [--lines 100] [--folder DIR]

Runs are as the workbench leaves them when they have finished: configuration, provenance, status,
and records sealed as Parquet. `--lines` of them are still going on, their records JSON lines.
Records are drawn for 64 runs, and the others have copies of them. Each step is a process of its
own, whose peak memory (resident, as the kernel counts it) is told. All is deleted at the end.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from commands import workbench
from run_documents import run_document, write_study

from workbench.recipe import load_recipe

DRAWN = 64
TRAINING = ("train_loss", "lr", "grad_norm", "tokens_per_second")
HELD_OUT = ("val_loss", "val_bpb", "cloze_acc")


def records(number: int, count: int) -> pl.DataFrame:
    """Four training metrics at every step, three of evaluation at every tenth."""
    steps = np.arange(1, count * 10 // 43 + 1)
    rng = np.random.default_rng(number)
    frames = []
    for metric in TRAINING + HELD_OUT:
        at = steps if metric in TRAINING else steps[::10]
        size = len(at)
        frames.append(
            pl.DataFrame(
                {
                    "step": at, "tokens": at * 2048, "epoch": at * 2048 / 32_000,
                    "flops": at * 2.5e9, "metric": [metric] * size,
                    "value": 5.0 / at**0.1 + rng.normal(0, 0.03, size),
                    "stderr": [None if metric in TRAINING else 0.01] * size,
                    "n": [None if metric in TRAINING else 512] * size,
                    "estimator": ["nelbo" if number % 2 else "nll"] * size,
                },
                schema_overrides={"stderr": pl.Float64, "n": pl.Int64},
            )
        )  # fmt: skip
    return pl.concat(frames).sort("step", maintain_order=True)


def write_runs(results: Path, runs: int, count: int, lines: int) -> int:
    """Run folders and a study of them; how many records they hold."""
    configs = [
        load_recipe("quickstart", [f"training.objective='{objective}'"]).runs[0]
        for objective in ("ar", "mdlm")
    ]
    drawn = [records(number, count) for number in range(min(DRAWN, runs))]
    sealed = []
    for frame in drawn:
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        sealed.append(buffer.getvalue())
    ids = []
    for number in range(runs):
        config = configs[number % 2].model_dump(mode="json")
        config["training"]["seed"] = number // 2
        ids.append(f"{number:08x}")
        going_on = number < lines
        folder = results / "runs" / ids[-1]
        folder.mkdir(parents=True)
        documents = {
            "config": run_document(ids[-1], config),
            "provenance": {"host": "made", "versions": {"torch": "2.15"}, "command": ["run"] * 8},
            "status": {"state": "interrupted" if going_on else "finished", "attempts": 1,
                       "step": 400, "steps": 400, "tokens": 819_200},
        }  # fmt: skip
        for name, document in documents.items():
            (folder / f"{name}.json").write_text(json.dumps(document))
        if going_on:
            drawn[number % DRAWN].write_ndjson(folder / "records.jsonl")
        else:
            (folder / "records.parquet").write_bytes(sealed[number % DRAWN])
    write_study(results, "scale", "?", ids)
    return sum(drawn[number % DRAWN].height for number in range(runs))


def measured(*arguments: str | Path) -> None:
    """Run a command, and tell how long it took and the most memory that it had."""
    began = time.perf_counter()
    process = subprocess.Popen(workbench(*arguments), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stderr is not None
    told = process.stderr.read().strip().rpartition(": ")[2]
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    name = " ".join(one.name if isinstance(one, Path) else one for one in arguments)
    if status:
        raise SystemExit(f"{name}: {told}")
    print(
        f"| `{name}` | {seconds:.1f} s | {usage.ru_maxrss / 2**20:.2f} GiB | {told} |", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=10_000, help="a run")
    parser.add_argument("--lines", type=int, default=100, help="runs whose records are JSON lines")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="workbench-scale-", dir=arguments.folder))
    try:
        results, dataset = folder / "results", folder / "dataset"
        results.mkdir()
        began = time.perf_counter()
        total = write_runs(results, arguments.runs, arguments.records, arguments.lines)
        print(f"{arguments.runs:,} runs, {total:,} records, written in "
              f"{time.perf_counter() - began:.0f} s")  # fmt: skip
        print("| command | time | peak memory | |\n|---|---|---|---|")
        measured("ingest", "--results", results)
        measured("ingest", "--results", results)
        measured("sql", "SELECT count(*) FROM metrics", "--results", results)
        measured("export", "parquet", dataset, "--results", results)
        changed = results / "runs" / f"{arguments.runs - 1:08x}" / "records.parquet"
        pl.read_parquet(changed).head(1000).write_parquet(changed)
        measured("ingest", "--results", results)
        measured("export", "parquet", dataset, "--results", results)
        measured("sql", "SELECT count(*) FROM metrics", "--from", dataset)
        measured("ingest", "--rebuild", "--results", results)
        store = (results / "workbench.duckdb").stat().st_size
        parts = [path.stat().st_size for path in dataset.rglob("*.parquet")]
        print(f"store {store / 2**30:.2f} GiB; dataset {sum(parts) / 2**30:.2f} GiB in "
              f"{len(parts)} files, the largest {max(parts) / 2**20:.1f} MiB")  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
