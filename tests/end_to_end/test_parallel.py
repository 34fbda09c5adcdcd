"""FSDP2 and tensor parallelism over gloo give the one-rank losses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import RECIPE
from tests.end_to_end.conftest import run_workbench
from workbench.data import PreparedData
from workbench.data.streams import validation_windows
from workbench.recipe import run_config
from workbench.runs.folder import list_runs
from workbench.store.read_records import read_records
from workbench.training.export_model import load_exported

STEPS = 20


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """20 steps of AR and diffusion on one rank and on FSDP2 x 2, of any order on one and on TP x 2:
    one study, with fused kernels in the last two.

    Any order has two streams, positions and a mask of each batch's own to pass the ranks; diffusion
    has both in test_parallel_layers.
    """
    folder = tmp_path_factory.mktemp("parallel")
    recipe = folder / "parallel.toml"
    text = RECIPE.format(corpus=corpus).replace('"training.objective" = ["ar", "mdlm"]', "")
    text = text.replace("total_tokens = 6_144", f"total_tokens = {STEPS * 16 * 32}")
    text = text.replace("cloze_questions = 16", "cloze_questions = 16\nmemorisation = 8")
    text += """
[[sweep.zip]]
"training.objective" = ["ar", "ar", "aoar", "mdlm", "mdlm", "aoar"]
"training.kernels" = ["plain", "plain", "plain", "plain", "fused", "fused"]
"parallelism.shard" = [1, 2, 1, 1, 2, 1]
"parallelism.tensor" = [1, 1, 1, 1, 1, 2]
"""
    recipe.write_text(text)
    done = run_workbench("run", recipe, "--results", folder / "results", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    return folder / "results"


def losses(results: Path, objective: str, shard: int, tensor: int) -> dict[tuple[str, int], float]:
    query = f"""SELECT metric, m.step, value FROM metrics m JOIN runs USING (run_id)
        WHERE objective = '{objective}' AND metric IN
            ('train_loss', 'val_loss', 'cloze_nll_true', 'memorised_tokens', 'suffix_nll')
        AND (config->>'$.parallelism.shard')::INT = {shard}
        AND (config->>'$.parallelism.tensor')::INT = {tensor}"""
    done = run_workbench("sql", query, "--results", results, "--format", "json")
    assert done.returncode == 0, done.stderr
    return {(row["metric"], row["step"]): row["value"] for row in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("objective", "shard", "tensor"),
    [("ar", 2, 1), ("mdlm", 2, 1), ("aoar", 1, 2)],
    ids=["fsdp", "fused, fsdp", "fused, tp"],
)
def test_two_ranks_give_the_losses_of_one(
    results: Path, objective: str, shard: int, tensor: int
) -> None:
    expected, sharded = losses(results, objective, 1, 1), losses(results, objective, shard, tensor)
    assert len([key for key in expected if key[0] == "train_loss"]) == STEPS
    assert expected.keys() == sharded.keys()
    assert max(abs(expected[key] - sharded[key]) for key in expected) < 1e-4


def test_sharded_checkpoints_export_to_the_logits_they_were_validated_with(
    results: Path, tmp_path: Path
) -> None:
    """From FSDP2 x 2: its last validation loss, worked out again from the exported folder."""
    (run,) = [run for run in list_runs(results) if shards_of_ar(run.config_json()["config"]) == 2]
    done = run_workbench(
        "export", "model", run.run_id, "--results", results, "--out", tmp_path / "exported"
    )
    assert done.returncode == 0, done.stderr
    prepared = PreparedData.open(results / run.config_json()["data"]["folder"])
    windows = validation_windows(prepared, run_config(run.config_json()).data)
    tokens = torch.from_numpy(windows.tokens_NL).long()
    vocab = prepared.vocab
    inputs = torch.cat([torch.full((len(tokens), 1), vocab.bos_id), tokens[:, :-1]], dim=1)
    with torch.no_grad():
        logits = load_exported(tmp_path / "exported")(inputs)[..., : vocab.n_tokens]
    nll_NL = nn.functional.cross_entropy(logits.mT, tokens, reduction="none")
    loss = np.average(nll_NL.mean(dim=1).numpy(), weights=windows.weight_N)
    stored = read_records(run.records_path).frame.filter(metric="val_loss", step=STEPS)["value"][0]
    assert loss == pytest.approx(stored, abs=1e-5)


def shards_of_ar(config: dict[str, Any]) -> int | None:
    ar = config["training"]["objective"] == "ar"
    return config["parallelism"]["shard"] if ar else None
