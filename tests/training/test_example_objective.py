"""The objective of `examples/plugin`: its loss is the order-agnostic bound, in every estimate."""

import itertools
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.test_mdlm import MASKS, order_agnostic_bound, random_denoiser
from tests.training.toy import VOCAB, L, V, batch, held_out
from workbench.training.objectives.base import Corrupted

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin" / "src"


@pytest.fixture
def objective(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(EXAMPLE)
    from workbench_example.ardm import OrderAgnostic

    yield OrderAgnostic(VOCAB, seed=0)
    for module in [name for name in sys.modules if name.startswith("workbench_example")]:
        del sys.modules[module]


def weighted(nll: Tensor, corrupted: Corrupted) -> Tensor:
    """[B] the loss of each sequence, its NLLs looked up by what is masked."""
    masked = corrupted.inputs_BL == VOCAB.mask_id
    row = (masked * (2 ** torch.arange(L - 1, -1, -1))).sum(1)
    assert corrupted.weights_BL is not None
    return (nll[row] * corrupted.weights_BL).sum(1)


def test_masks_of_k_places_weighed_by_l_over_k_give_the_chain_rule_over_all_orders() -> None:
    """The identity that the module's docstring states, by enumeration."""
    nll, total = random_denoiser(1), 0.0
    for mask, losses in zip(MASKS, nll, strict=True):
        k = int(mask.sum())
        if k:
            total += (losses * mask).sum().item() * L / k / math.comb(L, k) / L
    assert total == pytest.approx(order_agnostic_bound(nll), abs=1e-9)


def test_it_bounds_the_nll_of_the_mixture_of_orders_from_above() -> None:
    nll = random_denoiser(2)
    along = []
    for order in itertools.permutations(range(L)):
        hidden = [True] * L
        total = 0.0
        for place in order:
            total += nll[int("".join(str(int(h)) for h in hidden), 2), place].item()
            hidden[place] = False
        along.append(total)
    mixture = -math.log(sum(math.exp(-one) for one in along) / len(along))
    assert order_agnostic_bound(nll) > mixture


@pytest.mark.parametrize("which", ["training", "validation"])
def test_training_and_validation_have_the_bound_as_their_expectation(
    objective: Any, which: str
) -> None:
    nll, n = random_denoiser(3), 1 << 14
    tokens = torch.zeros(n, L, dtype=torch.int64)
    seen = {
        "training": lambda: objective.training_inputs(batch(tokens)),
        "validation": lambda: held_out(objective, tokens),
    }[which]()
    values = weighted(nll, seen)
    error = values.std().item() / math.sqrt(n)
    assert values.mean().item() == pytest.approx(order_agnostic_bound(nll), abs=4 * error)
    masked = (seen.inputs_BL == VOCAB.mask_id).sum(1)
    assert torch.bincount(masked).tolist() == [0] + [n // L] * L, "stratified: each k as often"


def test_an_answer_is_scored_by_its_own_bound_given_the_context(objective: Any) -> None:
    nll, n, draws, start = random_denoiser(4), 2048, 8, 1
    tokens = torch.zeros(n, L, dtype=torch.int64)
    total = torch.zeros(n, dtype=torch.float64)
    for draw in range(draws):
        seen = objective.answer_inputs(tokens, start, torch.arange(n), draw, draws)
        assert (seen.inputs_BL[:, :start] == tokens[:, :start]).all(), "the context is clean"
        total += weighted(nll, seen) / draws
    expected = 0.0
    for order in itertools.permutations(range(start, L)):
        hidden = set(range(start, L))
        for place in order:
            row = sum(2 ** (L - 1 - i) for i in hidden)
            expected += nll[row, place].item() / math.factorial(L - start)
            hidden.remove(place)
    error = total.std().item() / math.sqrt(n)
    assert total.mean().item() == pytest.approx(expected, abs=4 * error)


def test_its_noise_does_not_depend_on_the_number_of_ranks(objective: Any) -> None:
    tokens = torch.randint(0, V, (8, 16))
    whole = objective.training_inputs(batch(tokens, step=3))
    parts = [
        objective.training_inputs(batch(tokens[i : i + 2], step=3, first=i, size=8))
        for i in (0, 2, 4, 6)
    ]
    assert torch.equal(whole.inputs_BL, torch.cat([part.inputs_BL for part in parts]))
    assert torch.equal(whole.weights_BL, torch.cat([part.weights_BL for part in parts]))
    other = objective.training_inputs(batch(tokens, step=4))
    assert not torch.equal(whole.weights_BL, other.weights_BL)


def test_options_of_a_question_share_their_masks(objective: Any) -> None:
    tokens = torch.randint(0, V, (4, 16))
    seen = objective.answer_inputs(tokens, 8, torch.full((4,), 5), 1, 4)
    masked = seen.inputs_BL == VOCAB.mask_id
    assert (masked == masked[:1]).all()
    assert masked.any()
