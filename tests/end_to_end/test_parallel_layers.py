"""Diffusion, dropout, a mixture of experts, layers in loops and losses of a whole distribution on
FSDP2 and tensor parallelism give the one-rank losses."""

import json
from pathlib import Path

import pytest

from tests.conftest import RECIPE
from tests.end_to_end.conftest import run_workbench

STEPS = 10
LAYERS = {
    "experts": ["training.objective=mdlm", "model.moe_experts=4", "model.ffn=32"],
    "looped": ["training.objective=hybrid", "training.uniform_noise=0.3", "model.loops=2"],
}


@pytest.fixture(scope="module", params=["experts", pytest.param("looped", marks=pytest.mark.long)])
def losses(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, corpus: Path
) -> dict[str, dict]:
    """Ten steps of one model on one rank, on FSDP2 x 2 and on TP x 2."""
    folder = tmp_path_factory.mktemp("layers")
    recipe = folder / "layers.toml"
    text = RECIPE.format(corpus=corpus)
    text = text.replace("total_tokens = 6_144", f"total_tokens = {STEPS * 16 * 32}")
    text = text.replace('"training.objective" = ["ar", "mdlm"]', "")
    text += """
[[sweep.zip]]
"parallelism.shard" = [1, 2, 1]
"parallelism.tensor" = [1, 1, 2]
"""
    recipe.write_text(text)
    keys = [*LAYERS[request.param], "model.dropout=0.1"]
    options = [part for key in keys for part in ("--set", key)]
    results = folder / "results"
    done = run_workbench("run", recipe, "--results", results, "--jobs", "2", *options)
    assert done.returncode == 0, done.stderr
    done = run_workbench(
        "sql",
        """SELECT metric, m.step, value, config->>'$.parallelism.shard' AS shard,
             config->>'$.parallelism.tensor' AS tensor
           FROM metrics m JOIN runs USING (run_id)
           WHERE metric IN ('train_loss', 'val_loss', 'moe_balance', 'moe_entropy', 'moe_z')""",
        *("--results", results, "--format", "json"),
    )
    by_layout: dict[str, dict] = {}
    for row in json.loads(done.stdout):
        layout = by_layout.setdefault(f"{row['shard']}x{row['tensor']}", {})
        layout[row["metric"], row["step"]] = row["value"]
    return by_layout


@pytest.mark.parametrize("layout", ["2x1", "1x2"], ids=["fsdp", "tp"])
def test_two_ranks_give_the_losses_and_router_metrics_of_one(
    losses: dict[str, dict], layout: str
) -> None:
    expected, sharded = losses["1x1"], losses[layout]
    assert len([key for key in expected if key[0] == "train_loss"]) == STEPS
    of_routers = [key for key in expected if key[0] == "moe_balance"]
    assert len(of_routers) in (0, STEPS)
    assert expected.keys() == sharded.keys()
    assert max(abs(expected[key] - sharded[key]) for key in expected) < 1e-4
