"""Where a run may go on: other ranks, the same numbers, and a word where it cannot."""

import pytest

from workbench.errors import InputError
from workbench.recipe import RunConfig, load_recipe
from workbench.recipe.ranks import laid_out


def planned(*overrides: str, batch: int = 32) -> RunConfig:
    return load_recipe("quickstart", [f"training.batch_size={batch}", *overrides]).runs[0]


def layout(config: RunConfig) -> tuple[int, int, int, int | None]:
    """shard, replicate, tensor, and the sequences that a rank passes at once."""
    parts = config.parallelism
    return parts.shard, parts.replicate, parts.tensor, config.training.micro_batch_size


@pytest.mark.parametrize(
    ("keys", "ranks", "expected"),
    [
        (["parallelism.shard=2"], 1, (1, 1, 1, 16)),
        (["parallelism.shard=2"], 8, (8, 1, 1, 4)),
        (["parallelism.shard=4", "parallelism.replicate=4"], 8, (4, 2, 1, 2)),
        (["parallelism.shard=4", "parallelism.replicate=4"], 2, (2, 1, 1, 2)),
        (["parallelism.shard=4", "parallelism.tensor=2"], 4, (2, 1, 2, 8)),
        (["parallelism.shard=2", "training.micro_batch_size=4"], 1, (1, 1, 1, 4)),
        (["parallelism.shard=4", "training.micro_batch_size=8"], 32, (32, 1, 1, 1)),
        (["parallelism.shard=2", "model.moe_experts=4", "model.ffn=64"], 1, (1, 1, 1, 32)),
    ],
)
def test_ranks_share_the_run_anew(
    keys: list[str], ranks: int, expected: tuple[int, int, int, int]
) -> None:
    config = planned(*keys)
    moved = laid_out(config, ranks)
    assert layout(moved) == expected
    assert moved.parallelism.world_size == ranks
    assert moved.training.batch_size == config.training.batch_size


def test_the_planned_ranks_change_nothing() -> None:
    config = planned("parallelism.shard=4", "training.micro_batch_size=2")
    assert laid_out(config, None) is config
    assert laid_out(config, 4) is config


@pytest.mark.parametrize(
    ("keys", "ranks", "said"),
    [
        (["parallelism.shard=4"], 3, "planned for 4 ranks (shard = 4) .* 1, 2, 4, 8."),
        (["parallelism.shard=2", "parallelism.tensor=2"], 3, "groups of 2 .* 2, 4, 8, 16"),
        ([], 64, "64 ranks: a run planned for 1 rank cannot train on them"),
        (
            ["parallelism.shard=2", "model.moe_experts=4", "model.ffn=64",
             "training.micro_batch_size=2"], 8, "passes 4 sequences at once",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_out_names_both_layouts_and_what_fits(
    keys: list[str], ranks: int, said: str
) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(").replace(")", r"\)")):
        laid_out(planned(*keys), ranks)
