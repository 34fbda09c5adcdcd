"""What the end-to-end tests compare with: one undisturbed study."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RECIPE

Records = dict[tuple[str, str, int, str | None], float | None]
REPRODUCIBLE = (
    "train_loss",
    "val_loss",
    "val_bpb",
    "cloze_acc",
    "cloze_nll_true",
    "grad_norm",
    "lr",
)


def run_workbench(
    *arguments: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workbench.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=480,
        env={**os.environ, **(env or {})},
    )


def stored_records(results: Path) -> Records:
    """What the store holds, by run, metric, step and estimator; each must be there once."""
    done = run_workbench(
        *("sql", "SELECT run_id, metric, step, estimator, value FROM metrics"),
        *("--results", results, "--format", "json"),
    )
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    records = {
        (row["run_id"], row["metric"], row["step"], row["estimator"]): row["value"]
        for row in rows
        if row["metric"] in REPRODUCIBLE
    }
    assert len(records) == sum(row["metric"] in REPRODUCIBLE for row in rows), "a record is doubled"
    return records


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    text = RECIPE.format(corpus=corpus).replace(
        "log_every = 1", "log_every = 1\ncheckpoint_every = 4"
    )
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def undisturbed_results(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study run to its end without a disturbance. Leave it as it is."""
    results = tmp_path_factory.mktemp("undisturbed")
    done = run_workbench("run", tiny_recipe, "--results", results)
    assert done.returncode == 0, done.stderr
    return results


@pytest.fixture(scope="session")
def undisturbed(undisturbed_results: Path) -> Records:
    """Its records."""
    records = stored_records(undisturbed_results)
    assert len(records) == 2 * (12 * 3 + 4 * 4)
    return records
