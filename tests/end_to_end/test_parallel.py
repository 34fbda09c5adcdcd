"""FSDP2 and tensor parallelism over gloo give the one-rank losses."""

import json
from pathlib import Path

import pytest

from tests.conftest import RECIPE
from tests.end_to_end.conftest import run_workbench

STEPS = 20


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """20 steps of three objectives on one rank, on FSDP2 x 2 and on TP x 2: one study."""
    folder = tmp_path_factory.mktemp("parallel")
    recipe = folder / "parallel.toml"
    # Any order too: two streams, positions and a mask of each batch's own pass the ranks.
    text = RECIPE.format(corpus=corpus).replace('["ar", "mdlm"]', '["ar", "mdlm", "aoar"]')
    text = text.replace("total_tokens = 6_144", f"total_tokens = {STEPS * 16 * 32}")
    text = text.replace("cloze_questions = 16", "cloze_questions = 16\nmemorisation = 8")
    text += """
[[sweep.zip]]
"parallelism.shard" = [1, 2, 1]
"parallelism.tensor" = [1, 1, 2]
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


@pytest.mark.parametrize("objective", ["ar", "mdlm", "aoar"])
@pytest.mark.parametrize(("shard", "tensor"), [(2, 1), (1, 2)], ids=["fsdp", "tp"])
def test_two_ranks_give_the_losses_of_one(
    results: Path, objective: str, shard: int, tensor: int
) -> None:
    one, two = losses(results, objective, 1, 1), losses(results, objective, shard, tensor)
    assert len([key for key in one if key[0] == "train_loss"]) == STEPS
    assert one.keys() == two.keys()
    assert max(abs(one[key] - two[key]) for key in one) < 1e-4
