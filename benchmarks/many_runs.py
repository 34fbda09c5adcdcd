"""A store of many runs, as a large study would leave it: what `app_speed.py` measures on.

python benchmarks/many_runs.py FOLDER [--runs 1000] [--points 200]
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import polars as pl
from run_documents import QUICKSTART, run_document, write_study

from workbench.recipe import load_recipe
from workbench.runs.folder import RunFolder, RunStatus
from workbench.store import ingest

METRICS = ("train_loss", "val_loss", "val_bpb", "cloze_acc", "cloze_nll_true", "cloze_nll_other")
UNIQUE = (3_200, 6_400, 12_800, 32_000, 64_000)
RATES = (5e-4, 1e-3, 2e-3, 3e-3, 5e-3)
DECAYS = (0.0, 0.1)
STUDY = "many"


def write_many(results: Path, *, runs: int = 1000, points: int = 200) -> None:
    """Run folders of finished runs: two objectives, five budgets, five learning rates, two
    weight decays, and as many seeds as that needs; every metric at every point."""
    cells = list(itertools.product(("ar", "mdlm"), UNIQUE, RATES, DECAYS))
    tokens = np.geomspace(2_048, 819_200, points).round().astype(np.int64)
    ids = []
    for number in range(runs):
        objective, unique, rate, decay = cells[number % len(cells)]
        overrides = [
            f"training.objective='{objective}'", f"data.unique_tokens={unique}",
            f"training.lr={rate}", f"training.weight_decay={decay}",
            f"training.seed={number // len(cells)}",
        ]  # fmt: skip
        config = load_recipe("quickstart", overrides).runs[0].model_dump(mode="json")
        ids.append(f"many{number:06d}")
        _write_run(results, ids[-1], config, tokens, number)
    write_study(results, STUDY, "Does the app stay quick?", ids)


def _write_run(results: Path, run_id: str, config: dict, tokens: np.ndarray, number: int) -> None:
    unique, points = config["data"]["unique_tokens"], len(tokens)
    diffusion = config["training"]["objective"] == "mdlm"
    steps = tokens // 2048
    document = run_document(run_id, config, QUICKSTART | {"epochs": 819_200 / unique})
    status = RunStatus(state="finished", attempts=1, step=400, steps=400, tokens=819_200)
    run = RunFolder.create(results, run_id, document, {"host": "made"}, status=status)
    rng = np.random.default_rng(number)
    progress = np.log(tokens / tokens[0]) / np.log(tokens[-1] / tokens[0])
    overfit = 0.0 if diffusion else 0.2 * tokens / unique / 64
    loss = 5.5 - (2.4 if diffusion else 3.0) * progress + overfit
    frames = [
        pl.DataFrame(
            {
                "step": steps, "tokens": tokens, "epoch": tokens / unique,
                "flops": tokens * (1.3e6 if diffusion else 1.2e6), "metric": [metric] * points,
                "value": loss / (1 + 3 * place) + rng.normal(0, 0.03, points),
                "stderr": np.full(points, 0.01), "n": np.full(points, 512),
                "estimator": ["nelbo" if diffusion else "nll"] * points,
            }
        )
        for place, metric in enumerate(METRICS)
    ]  # fmt: skip
    run.records_path.touch()
    pl.concat(frames).write_parquet(run.sealed_path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=200)
    arguments = parser.parse_args()
    write_many(arguments.folder, runs=arguments.runs, points=arguments.points)
    report = ingest(arguments.folder)
    print(f"{report.runs:,} runs with {report.records:,} records in {arguments.folder}")


if __name__ == "__main__":
    main()
