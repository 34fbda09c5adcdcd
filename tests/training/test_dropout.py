"""Dropout: masks that depend on their place alone."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.running.test_worker import make_run, values
from tests.training.test_model import CONFIG
from workbench.running import worker
from workbench.training.dropout import DropoutKeys, dropout, keep_mask, token_keys
from workbench.training.model import initialise, model_config

POSITION = torch.arange(8)
TOKEN = torch.arange(16)


@given(st.floats(0.01, 0.95))
def test_the_share_dropped_is_p_and_the_mean_stays(p: float) -> None:
    keys = token_keys(0, 1, POSITION, TOKEN)
    mask = keep_mask(keys, 0, 64, p)
    n = mask.numel()
    assert abs((~mask).float().mean().item() - p) < 5 * (p * (1 - p) / n) ** 0.5 + 1e-4
    out = dropout(torch.ones(8, 16, 64), keys, 0, p)
    assert set(out.unique().tolist()) <= {0.0, out.max().item()}
    assert out.max().item() == pytest.approx(1 / (1 - p), rel=0.01)


def test_masks_of_steps_seeds_places_positions_and_tokens_are_independent() -> None:
    def draw(seed: int = 0, step: int = 1, place: int = 0) -> torch.Tensor:
        return keep_mask(token_keys(seed, step, POSITION, TOKEN), place, 62, 0.5).float()

    base = draw()
    others = [draw(seed=1), draw(step=2), draw(place=1), base.roll(1, 0), base.roll(1, 1)]
    others += [base.roll(shift, 2) for shift in (1, 2, 3, 4)]
    for other in others:
        agree = (base == other).float().mean().item()
        assert abs(agree - 0.5) < 5 * 0.5 / base.numel() ** 0.5


@pytest.mark.parametrize(("ranks", "parts"), [(2, 1), (4, 2), (1, 4)])
def test_ranks_draw_their_part_of_the_whole_mask(ranks: int, parts: int) -> None:
    whole = keep_mask(token_keys(3, 7, POSITION, TOKEN), 5, 30, 0.3)
    config = CONFIG.model_copy(update={"dropout": 0.3})
    model = model_config(config, seq_len=16, causal=True).build()
    for rank in range(ranks):
        for part in range(parts):
            keys = DropoutKeys(model, seed=3, tensor_rank=part, tensor_ranks=parts)
            mine = POSITION.chunk(ranks)[rank]
            keys.update(7, mine, torch.zeros(len(mine), 16))
            rows = keep_mask(model.layers["0"].token_key_BL, 5, 30, 0.3)
            assert torch.equal(rows, whole.chunk(ranks)[rank].chunk(parts, 1)[part])


def test_copies_of_a_batch_get_masks_of_their_own() -> None:
    model = model_config(
        CONFIG.model_copy(update={"dropout": 0.3}), seq_len=16, causal=True
    ).build()
    DropoutKeys(model, seed=0, tensor_rank=0, tensor_ranks=1).update(
        1, POSITION, torch.zeros(24, 16)
    )
    key = model.layers["1"].token_key_BL
    assert torch.equal(key[:8], token_keys(0, 1, POSITION, TOKEN))
    assert key.unique().numel() == 24 * 16


def test_evaluation_does_not_drop_and_training_does() -> None:
    def build(p: float | None) -> torch.nn.Module:
        config = CONFIG.model_copy(update={"dropout": p})
        model = model_config(config, seq_len=16, causal=True).build()
        model.init_states()
        initialise(model, seed=0, std=0.2)
        return model

    tokens = torch.randint(0, 64, (8, 16))
    plain, dropped = build(None), build(0.5)
    assert [name for name, _ in plain.named_parameters()] == [
        name for name, _ in dropped.named_parameters()
    ]
    dropped.eval()
    assert torch.equal(plain(tokens), dropped(tokens))
    dropped.train()
    keys = DropoutKeys(dropped, seed=0, tensor_rank=0, tensor_ranks=1)
    keys.update(1, POSITION, tokens)
    once, again = dropped(tokens), dropped(tokens)
    keys.update(2, POSITION, tokens)
    assert torch.equal(once, again)
    assert not torch.equal(once, plain(tokens))
    assert not torch.equal(once, dropped(tokens))


@pytest.mark.training
def test_micro_batches_and_recomputation_leave_the_numbers_of_dropout(
    tmp_path: Path, corpus: Path
) -> None:
    keys = ["model.dropout=0.2", "training.objective=ar"]
    whole = make_run(tmp_path, corpus, *keys)
    parts = make_run(tmp_path, corpus, *keys, "training.micro_batch_size=4")
    again = make_run(tmp_path, corpus, *keys, "training.activation_checkpointing=true")
    none = make_run(tmp_path, corpus, "training.objective=ar")
    for run in (whole, parts, again, none):
        assert worker.main(run.path) == worker.FINISHED
    expected, added_up, repeated = (values(run, "train_loss") for run in (whole, parts, again))
    assert max(abs(expected[step] - added_up[step]) for step in expected) < 1e-4
    assert expected == repeated
    assert abs(expected[1] - values(none, "train_loss")[1]) > 1e-4
    config = json.loads(whole.config_path.read_text())["config"]
    assert config["model"]["dropout"] == 0.2
