"""Several noise draws of a sequence in one step: stratified, keyed, averaged."""

from dataclasses import replace

import pytest
import torch

from tests.training.test_block import block
from tests.training.toy import VOCAB, V, batch, mdlm
from workbench.recipe import load_recipe
from workbench.training.objectives.base import Objective, repeated
from workbench.training.objectives.registry import objective_class

WEIGHTINGS = ("elbo_t", "elbo_realized", "maskgit")


def test_times_are_stratified_over_all_draws_and_over_those_of_each_sequence() -> None:
    many = repeated(batch(torch.zeros(8, 4, dtype=torch.int64)), 4)
    t = mdlm(4).times(1, many.position_B, many.batch_sample_G.numel())
    assert (t.sort().values * 32).floor().tolist() == list(range(32))
    of_a_sequence = t.view(4, 8).T  # [sequences, draws]
    assert ((of_a_sequence * 4).floor() == torch.arange(4)).all()


def test_draws_of_a_sequence_have_masks_of_their_own() -> None:
    many = repeated(batch(torch.zeros(8, 64, dtype=torch.int64)), 3)
    uniforms = mdlm(3).mask_uniforms(many.epoch_B, many.sample_B, 64)
    assert len(uniforms.unique(dim=0)) == 24
    once = batch(torch.zeros(8, 64, dtype=torch.int64))
    assert torch.equal(uniforms[:8], mdlm(1).mask_uniforms(once.epoch_B, once.sample_B, 64))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_draws_do_not_depend_on_the_number_of_ranks(weighting: str) -> None:
    tokens = torch.randint(0, V, (8, 16))
    whole = mdlm(3, weighting).training_inputs(batch(tokens, step=3))
    parts = [
        mdlm(3, weighting).training_inputs(batch(tokens[i : i + 2], step=3, first=i, size=8))
        for i in (0, 2, 4, 6)
    ]
    for name in ("inputs_BL", "targets_BL", "weights_BL"):
        copies = [getattr(part, name).view(3, 2, -1) for part in parts]
        assert torch.equal(getattr(whole, name), torch.cat(copies, dim=1).flatten(0, 1))


@pytest.mark.parametrize("weighting", ["elbo_realized", "maskgit"])
def test_weights_still_average_to_one(weighting: str) -> None:
    """sum(weights) / (B L) stays what it is with one draw: the loss is a mean over draws."""
    tokens = torch.zeros(64, 32, dtype=torch.int64)
    for samples in (1, 2, 5):
        weights = mdlm(samples, weighting).training_inputs(batch(tokens)).weights_BL
        assert weights is not None
        assert weights.sum().item() / tokens.numel() == pytest.approx(1, abs=1e-4)


def test_more_draws_estimate_the_same_loss_with_less_variance() -> None:
    """The weighted number of masked tokens has expectation one a token, whatever the draws."""
    tokens = torch.zeros(16, 32, dtype=torch.int64)
    spread = {}
    for samples in (1, 8):
        drawn = []
        for step in range(200):
            given = batch(tokens, step=step)
            given = replace(given, epoch_B=given.epoch_B + step)
            weights = mdlm(samples).training_inputs(given).weights_BL
            assert weights is not None
            drawn.append(weights.sum())
        values = torch.stack(drawn)
        values = values / tokens.numel()
        error = values.std().item() / 200**0.5
        assert values.mean().item() == pytest.approx(1, abs=4 * error)
        spread[samples] = values.std().item()
    assert spread[8] < spread[1] / 2


@pytest.mark.parametrize("blocks", [None, 1, 2])
def test_each_draw_of_each_question_ranks_its_places_anew(blocks: int | None) -> None:
    """Masks by one ranking would be nested: all places of the smaller lie in the larger."""
    size, questions, draws = 512, torch.arange(6), 4
    ours = mdlm(1) if blocks is None else block(size)
    tokens = torch.zeros(6, size * (blocks or 1), dtype=torch.int64)
    seen = [ours.answer_inputs(tokens, 0, questions, draw, draws) for draw in range(draws)]
    masked = torch.cat([(one.weights_BL > 0).view(-1, size) for one in seen])
    count = masked.sum(dim=1)
    some = masked[(count > size // 5) & (count < size * 4 // 5)].double()
    assert len(some) > 10
    common, own = some @ some.T, some.sum(dim=1)
    nested = common == torch.minimum(own[:, None], own[None, :])
    assert nested.sum() == len(some), "each with itself"


@pytest.mark.parametrize(
    ("keys", "estimator"),
    [
        (["training.objective='mdlm'"], "elbo_t"),
        (["training.objective='block'", "training.block_size=8"], "elbo_t"),
        (["training.objective='aoar'"], "nelbo/orders"),
    ],
)
def test_an_objective_takes_a_recipes_draws_and_its_estimator_names_several(
    keys: list[str], estimator: str
) -> None:
    def made(*draws: str) -> Objective:
        training = load_recipe("quickstart", [*keys, *draws]).runs[0].training
        return objective_class(training.objective).from_config(training, VOCAB)

    assert [one.noise_samples for one in (made(), made("training.noise_samples=4"))] == [1, 4]
    assert made().train_estimator == estimator
    assert made("training.noise_samples=4").train_estimator == f"{estimator}/samples=4"
