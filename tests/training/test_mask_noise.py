"""The noise of masks, from one draw: against every set of masked tokens enumerated."""

import itertools

import pytest
import torch

from workbench.training.mask_noise import mask_noise, total_variance

S = 6
NLL = torch.rand(S, generator=torch.Generator().manual_seed(0)).double() * 4


def every_set(k: int) -> torch.Tensor:
    """[sets, S] true where a token is masked."""
    sets = list(itertools.combinations(range(S), k))
    masked = torch.zeros(len(sets), S, dtype=torch.bool)
    for row, places in enumerate(sets):
        masked[row, list(places)] = True
    return masked


@pytest.mark.parametrize("k", range(2, S + 1))
def test_the_variance_of_a_sample_is_right_on_average_but_for_its_factor(k: int) -> None:
    """Where a token's NLL does not depend on the others, the true variance is that of a sum over a
    random set; the factor (1 + k/S) is for the NLLs that do."""
    masked, weight = every_set(k), 1.5
    true = (weight * (NLL * masked).sum(dim=1)).var(correction=0).item()
    parts = mask_noise(NLL.expand(len(masked), S), weight * masked, S)
    assert parts.known_B.mean().item() == pytest.approx(true * (1 + k / S), rel=1e-6, abs=1e-9)
    assert (parts.single_B == 0).all()


def test_one_masked_token_takes_the_variance_of_the_others() -> None:
    masked = torch.cat([every_set(1), every_set(3)])
    weights = 1.5 * masked
    parts = mask_noise(NLL.expand(len(masked), S), weights, S).stacked()
    found = total_variance(parts[:, None])[:, 0]
    within = NLL.var().item()
    assert found[:S].tolist() == pytest.approx([1.5**2 * (1 - 1 / S**2) * within] * S, rel=1e-6)


def test_nothing_is_left_to_chance_where_all_tokens_are_masked() -> None:
    masked = torch.ones(3, S, dtype=torch.bool)
    parts = mask_noise(NLL.expand(3, S), 1.0 * masked, S)
    assert parts.stacked()[:, :2].abs().max() == pytest.approx(0, abs=1e-12)


def test_a_group_without_masked_tokens_adds_nothing() -> None:
    masked = every_set(3)
    alone = mask_noise(NLL.expand(len(masked), S), 1.0 * masked, S).stacked()
    beside = torch.cat([torch.zeros_like(masked), masked], dim=1)
    both = mask_noise(NLL.repeat(2).expand(len(masked), 2 * S), 1.0 * beside, S).stacked()
    torch.testing.assert_close(both, alone)


def test_a_token_varies_as_those_of_groups_with_few_masked_ones_do() -> None:
    """Groups of nine or more tell little of a single one, whose group hides almost nothing."""
    nll = torch.rand(3, 12, generator=torch.Generator().manual_seed(1)).double()
    counts = torch.tensor([[2], [8], [9]])
    parts = mask_noise(nll, (torch.arange(12) < counts).double(), 12)
    within = [nll[row, :count].var().item() for row, count in ((0, 2), (1, 8))]
    assert parts.token_variance_B.tolist() == pytest.approx([*within, 0])
    assert parts.groups_B.tolist() == [1, 1, 0]


def test_groups_add_up_each_with_a_weight_of_its_own() -> None:
    """Two groups of a window: the sum of their variances, whatever the number masked in each."""
    first, second = every_set(2)[:5], every_set(4)[:5]
    weights = torch.cat([2.0 * first, 0.5 * second], dim=1)
    both = mask_noise(NLL.repeat(2).expand(5, 2 * S), weights, S)
    alone = [
        mask_noise(NLL.expand(5, S), weight * masked, S)
        for weight, masked in ((2.0, first), (0.5, second))
    ]
    torch.testing.assert_close(both.stacked(), alone[0].stacked() + alone[1].stacked())
