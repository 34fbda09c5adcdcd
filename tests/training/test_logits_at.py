"""Logits of some places alone: those of all places, and no others are made."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.fake_cuda import CUDA, moves
from tests.training.toy import EVERY_SEQUENCE, VOCAB, L, mdlm, network, trainer
from workbench.evaluation.argmax import likeliest
from workbench.evaluation.ensemble import Ensemble
from workbench.training import validation
from workbench.training.head import FirstHalfHead, Head, Places, chosen, logits_at, logits_only_at
from workbench.training.noise import SCHEDULES
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.ar import Autoregressive
from workbench.training.objectives.base import Objective
from workbench.training.objectives.block import BlockDiffusion
from workbench.training.validation import sequence_nll

ROWS_AND_PLACES = torch.tensor([5, 0, 5]), torch.tensor([1, 2, 0])
BLOCK = BlockDiffusion(
    VOCAB, block_size=2, schedule=SCHEDULES["linear"], weighting="elbo_t", seed=0
)
OBJECTIVES = [Autoregressive(VOCAB), mdlm(1), BLOCK, AnyOrder(VOCAB, seed=0)]


@pytest.mark.parametrize("places", [slice(None), slice(2, None), slice(1, 2), ROWS_AND_PLACES])
@pytest.mark.parametrize("kind", ["one stream", "two streams", "ensemble"])
@torch.no_grad()
def test_a_model_makes_the_logits_of_some_places_as_it_makes_all(kind: str, places: Places) -> None:
    model = network(doubled=kind == "two streams")
    if kind == "ensemble":
        model = Ensemble([model, network(doubled=False, causal=True)], VOCAB.n_tokens)
    inputs = EVERY_SEQUENCE.repeat(1, 2) if kind == "two streams" else EVERY_SEQUENCE
    arguments = {"positions": torch.arange(L).repeat(2)[None]} if kind == "two streams" else {}
    whole = model(inputs, **arguments)
    with logits_only_at(model, places):
        some = model(inputs, **arguments)
    assert some.shape == chosen(whole, places).shape
    torch.testing.assert_close(some, chosen(whole, places), rtol=1e-5, atol=1e-5)
    assert torch.equal(model(inputs, **arguments), whole), "all again afterwards"


@torch.no_grad()
def test_on_a_cpu_some_logits_are_those_of_all_to_the_bit() -> None:
    model = network(doubled=False)
    some = logits_at(model, EVERY_SEQUENCE, slice(3, None))
    assert torch.equal(some, model(EVERY_SEQUENCE)[:, 3:])


@pytest.mark.parametrize("kind", [Head, FirstHalfHead])
def test_on_a_gpu_no_other_logits_are_made(kind: type[Head]) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            head = kind(kind.Config(in_features=6, out_features=12, param_init={}))
            head.weight = nn.Parameter(torch.empty(12, 6, device=CUDA))
            self.lm_head = head

        def forward(self, inputs: Tensor) -> Tensor:
            out: Tensor = self.lm_head(torch.empty(*inputs.shape, 6, device=CUDA))
            return out

    with moves():
        model, inputs = Model(), torch.empty(5, 8, device=CUDA)
        places = torch.empty(3, dtype=torch.int64, device=CUDA)
        assert logits_at(model, inputs, (places, places)).shape == (3, 12)
        half = 8 if kind is Head else 4
        assert logits_at(model, inputs, slice(1, None)).shape == (5, half - 1, 12)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: type(one).__name__)
def test_the_likelihood_of_an_answer_needs_the_logits_of_its_places_alone(
    objective: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = objective.facts.streams == 2
    model = network(doubled=two, causal=objective.facts.causal)
    asked = objective.answer_inputs(EVERY_SEQUENCE, 2, torch.arange(len(EVERY_SEQUENCE)), 0, 2)
    assert asked.first == 2
    assert asked.weights_BL is not None
    assert not asked.weights_BL[:, :2].any()
    whole = sequence_nll(trainer(model, objective), asked)
    some = validation.position_nll(trainer(model, objective), asked, first=2)
    torch.testing.assert_close((some * asked.weights_BL[:, 2:]).sum(dim=1), whole)
    assert some.shape == (len(EVERY_SEQUENCE), L - 2)


def test_what_is_likeliest_from_a_place_on_is_what_is_likeliest_there() -> None:
    of = trainer(network(doubled=False), mdlm(1))
    of.loss_fn.n_tokens = VOCAB.n_tokens
    whole, some = likeliest(of, EVERY_SEQUENCE), likeliest(of, EVERY_SEQUENCE, first=2)
    assert torch.equal(some.token_BL[:, 2:], whole.token_BL[:, 2:])
    assert torch.equal(some.log_p_BL[:, 2:], whole.log_p_BL[:, 2:])
    assert some.token_BL.shape == whole.token_BL.shape
    assert (some.log_p_BL[:, :2] == -torch.inf).all()


def test_answers_that_begin_at_several_places_begin_at_the_first_of_them() -> None:
    from workbench.evaluation.likelihood import _joined

    objective = OBJECTIVES[0]
    question_B = torch.arange(len(EVERY_SEQUENCE))
    asked = objective.answer_inputs(EVERY_SEQUENCE, 2, question_B, 0, 1)
    batch = _joined([(asked, question_B), (replace(asked, first=1), question_B)])
    assert batch.corrupted.first == 1
