"""Muon and averages of weights over ranks are those of one: FSDP2, copies, tensor parallelism."""

import json
from pathlib import Path

import pytest

from tests.conftest import RECIPE
from tests.end_to_end.conftest import run_workbench

STEPS = 12
KEYS = 'lr = 3e-3\nema = 2_048\naverage = "stable"\ndecay_fraction = 0.25\nwarmup_steps = 2'
LAYOUTS = """
[[sweep.zip]]
"training.optimizer" = ["muon", "muon", "muon", "adamw", "adamw"]
"parallelism.shard" = [1, 2, 1, 1, 1]
"parallelism.replicate" = [1, 1, 2, 1, 1]
"parallelism.tensor" = [1, 1, 1, 1, 2]
"""


@pytest.mark.long
@pytest.mark.training
def test_two_ranks_give_the_losses_of_one_with_muon_and_with_averaged_weights(
    tmp_path: Path, corpus: Path
) -> None:
    text = RECIPE.format(corpus=corpus).replace('"training.objective" = ["ar", "mdlm"]', LAYOUTS)
    (tmp_path / "r.toml").write_text(text.replace("lr = 3e-3", KEYS))
    done = run_workbench(
        "run", tmp_path / "r.toml", "--results", tmp_path / "results", "--jobs", "2"
    )
    assert done.returncode == 0, done.stderr
    query = """SELECT config->>'$.training.optimizer' = 'muon' AS muon,
        concat_ws(' x ', config->>'$.parallelism.shard', config->>'$.parallelism.replicate',
            config->>'$.parallelism.tensor') AS layout, metric, step, value
        FROM metrics JOIN runs USING (run_id)
        WHERE metric = 'train_loss' OR metric LIKE 'val_loss%' OR metric LIKE 'cloze_nll_true%'"""
    done = run_workbench("sql", query, "--results", tmp_path / "results", "--format", "json")
    found: dict[tuple[bool, str], dict[tuple[str, int], float]] = {}
    for row in json.loads(done.stdout):
        of_layout = found.setdefault((bool(row["muon"]), row["layout"]), {})
        of_layout[row["metric"], row["step"]] = row["value"]
    alone, adamw = found[True, "1 x 1 x 1"], found[False, "1 x 1 x 1"]
    assert len([key for key in alone if key[0] == "train_loss"]) == STEPS
    assert {("val_loss@ema", 12), ("val_loss@stable", 12)} < alone.keys()
    assert abs(alone["val_loss@ema", 12] - alone["val_loss", 12]) > 0.05
    # Newton-Schulz is computed in bfloat16, where a last bit of a gradient can weigh more.
    assert largest(alone, found[True, "2 x 1 x 1"]) < 5e-4, "DistMuon, of sharded matrices"
    assert largest(alone, found[True, "1 x 2 x 1"]) < 5e-4, "copies, each by itself"
    assert largest(adamw, found[False, "1 x 1 x 2"]) < 1e-4, "tensor parallelism"


def largest(a: dict[tuple[str, int], float], b: dict[tuple[str, int], float]) -> float:
    assert a.keys() == b.keys()
    return max(abs(a[key] - b[key]) for key in a)
