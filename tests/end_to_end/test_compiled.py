"""Compiled runs that follow each other in one process have the numbers of runs by themselves."""

import json
from pathlib import Path

import pytest
from torch._inductor.cpu_vec_isa import pick_vec_isa

from tests.end_to_end.conftest import run_workbench, stored_records
from workbench.runs.folder import list_runs

# Where torch finds (or is told to use) no vector units, the C++ that it writes for this model does
# not compile: 'at::vec' has not been declared (torch 2.15.0).
pytestmark = pytest.mark.skipif(not pick_vec_isa(), reason="torch compiles nothing without vectors")

KEYS = [
    "training.objective=mdlm", "training.compile=true", "training.seed=1",
    "model.dropout=0.1", "model.layers=5",
]  # fmt: skip
"""Dropout: each layer is code of its own, and five are more than torch compiles by default. The
recipe's task: shapes that training has not."""


def test_runs_that_share_compiled_code_are_bit_for_bit_what_they_are_alone(
    tiny_recipe: Path, tmp_path: Path
) -> None:
    text = tiny_recipe.read_text().replace('"training.objective" = ["ar", "mdlm"]', "")
    recipe = tmp_path / "compiled.toml"
    recipe.write_text(text)
    options = [part for key in KEYS for part in ("--set", key)]
    alone = run_workbench("run", recipe, "--results", tmp_path / "alone", *options)
    assert alone.returncode == 0, alone.stderr
    recipe.write_text(text + '"training.seed" = [0, 1]\n')
    options = [part for key in KEYS if "seed" not in key for part in ("--set", key)]
    both = run_workbench("run", recipe, "--results", tmp_path / "both", "--jobs", "1", *options)
    assert both.returncode == 0, both.stderr
    processes = {
        json.loads(run.status_path.read_text())["pid"] for run in list_runs(tmp_path / "both")
    }
    assert len(processes) == 1
    expected, stored = (stored_records(tmp_path / name) for name in ("alone", "both"))
    assert len(stored) == 2 * len(expected)
    assert {key: stored[key] for key in expected} == expected
