"""Masked AR: masks in training alone, several draws, and the clean loss beside the masked one."""

import pytest
import torch

from tests.training.toy import VOCAB, V, batch, held_out, network, nll
from workbench.training.objectives.ar import Autoregressive

TOKENS = torch.randint(0, V, (64, 32), generator=torch.Generator().manual_seed(3))


def masked(
    ratio: float = 0.3, *, aux: float = 0.0, samples: int = 1, seed: int = 0
) -> Autoregressive:
    return Autoregressive(
        VOCAB, input_mask=ratio, mask_aux_weight=aux, noise_samples=samples, seed=seed
    )


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0])
def test_inputs_are_masked_as_often_as_asked_and_bos_and_targets_never(ratio: float) -> None:
    seen = masked(ratio).training_inputs(batch(TOKENS))
    hidden = seen.inputs_BL == VOCAB.mask_id
    assert (seen.inputs_BL[:, 0] == VOCAB.bos_id).all()
    assert hidden[:, 1:].float().mean().item() == pytest.approx(ratio, abs=0.03)
    plain = Autoregressive(VOCAB).training_inputs(batch(TOKENS))
    assert torch.equal(seen.inputs_BL[~hidden], plain.inputs_BL[~hidden])
    assert torch.equal(seen.targets_BL, TOKENS)
    assert seen.weights_BL is None


def test_masks_are_keyed_by_seed_and_sample_and_not_by_ranks() -> None:
    whole = masked().training_inputs(batch(TOKENS)).inputs_BL
    part = masked().training_inputs(batch(TOKENS[8:24], first=8, size=64)).inputs_BL
    assert torch.equal(whole[8:24], part)
    assert not torch.equal(whole, masked(seed=1).training_inputs(batch(TOKENS)).inputs_BL)
    same = TOKENS[:1].expand(64, -1)
    rows = masked().training_inputs(batch(same)).inputs_BL == VOCAB.mask_id
    assert len({tuple(row) for row in rows.tolist()}) == 64


def test_evaluation_is_never_masked() -> None:
    for objective in (masked(0.9), masked(0.9, aux=1.0, samples=3)):
        plain = Autoregressive(VOCAB)
        index = torch.arange(64)
        ours = held_out(objective, TOKENS)
        assert torch.equal(ours.inputs_BL, held_out(plain, TOKENS).inputs_BL)
        ours = objective.answer_inputs(TOKENS, 20, index, 0, 1)
        assert torch.equal(ours.inputs_BL, plain.answer_inputs(TOKENS, 20, index, 0, 1).inputs_BL)
        assert objective.validation_estimator == "nll"


def test_several_draws_average_over_masks_of_their_own() -> None:
    three = masked(samples=3).training_inputs(batch(TOKENS))
    assert three.inputs_BL.shape == (192, 32)
    first, second, third = three.inputs_BL.view(3, 64, 32)
    assert torch.equal(first, masked().training_inputs(batch(TOKENS)).inputs_BL)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    torch.testing.assert_close(three.weights_BL, torch.full((192, 32), 1 / 3))
    assert torch.equal(three.targets_BL, TOKENS.repeat(3, 1))


@pytest.mark.parametrize("samples", [1, 2])
def test_the_auxiliary_loss_stands_beside_the_clean_one(samples: int) -> None:
    model = network(doubled=False, causal=True, length=32)
    both = nll(model, masked(aux=0.25, samples=samples).training_inputs(batch(TOKENS))).sum()
    clean = nll(model, Autoregressive(VOCAB).training_inputs(batch(TOKENS))).sum()
    noisy = nll(model, masked(samples=samples).training_inputs(batch(TOKENS))).sum()
    torch.testing.assert_close(both, clean + 0.25 * noisy)


def test_the_estimator_names_what_was_trained_on() -> None:
    assert Autoregressive(VOCAB).train_estimator == "nll"
    assert masked(0.1).train_estimator == "nll/input_mask=0.1"
    assert masked(0.1, samples=4).train_estimator == "nll/input_mask=0.1/samples=4"
    assert masked(0.1, aux=0.5).train_estimator == "nll+0.5*nll/input_mask=0.1"
