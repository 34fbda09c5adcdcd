"""The hybrid of masks and random tokens, at its masked end and near it."""

from pathlib import Path

import pytest
import torch

from tests.recipe.test_check_objective import load
from tests.training.toy import VOCAB, V, batch, network, nll
from workbench.errors import InputError
from workbench.training.noise import SCHEDULES
from workbench.training.objectives.base import Corrupted, Objective, WindowNoise
from workbench.training.objectives.hybrid import HybridDiffusion
from workbench.training.objectives.registry import build_objective

L = 16

TOKENS = torch.randint(0, V, (32, L), generator=torch.Generator().manual_seed(0))
WEIGHTINGS = ("elbo_t", "elbo_realized", "maskgit", "clamped")


def built(tmp_path: Path, objective: str, *keys: str) -> Objective:
    (run,) = load(tmp_path, *(f"training.{key}" for key in keys), objective=objective)
    return build_objective(run.training, VOCAB)


def everything(objective: Objective) -> list[Corrupted]:
    """What it makes of tokens in training, validation and tasks."""
    question = torch.arange(len(TOKENS))
    return [
        objective.training_inputs(batch(TOKENS, step=7)),
        *(
            objective.validation_inputs(TOKENS, WindowNoise(question, len(TOKENS), draw, 3, 5))
            for draw in range(3)
        ),
        *(objective.answer_inputs(TOKENS, 9, question, draw, 4) for draw in range(4)),
    ]


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_random_tokens_it_is_mdlm_to_the_bit(
    weighting: str, schedule: str, tmp_path: Path
) -> None:
    """Noise, weights and so losses and gradients, and the rows that a GPU leaves out."""
    keys = f"loss_weighting={weighting}", f"noise_schedule={schedule}", "noise_samples=2"
    hybrid = built(tmp_path, "hybrid", "uniform_noise=0", *keys)
    mdlm = built(tmp_path, "mdlm", *keys)
    for ours, theirs in zip(everything(hybrid), everything(mdlm), strict=True):
        assert ours.noised is theirs.noised is None
        assert torch.equal(ours.inputs_BL, theirs.inputs_BL)
        assert torch.equal(ours.targets_BL, theirs.targets_BL)
        assert torch.equal(ours.weights_BL, theirs.weights_BL)
        assert ours.first == theirs.first
    given = batch(TOKENS)
    assert hybrid.counted(given) == mdlm.counted(given)
    assert hybrid.masked_together(L) == mdlm.masked_together(L) == L
    assert hybrid.train_estimator == mdlm.train_estimator
    assert hybrid.facts.name == "hybrid"


def test_its_runs_have_ids_of_their_own_and_mdlm_has_none_of_its_keys(tmp_path: Path) -> None:
    ids = []
    for objective, *keys in (
        ("mdlm",),
        ("hybrid", "training.uniform_noise=0"),
        ("hybrid", "training.uniform_noise=0.1"),
        ("uniform",),
    ):
        (run,) = load(tmp_path, *keys, objective=objective)
        ids.append(run.model_dump_json())
        named = run.training.uniform_noise is not None
        assert named == (objective == "hybrid")
    assert len(set(ids)) == 4


def test_few_random_tokens_change_little() -> None:
    """The general bound goes over into that of masks: of the same masks, place by place."""
    noise = {"schedule": SCHEDULES["linear"], "weighting": "clamped", "seed": 0}
    few = HybridDiffusion(VOCAB, uniform_noise=1e-7, **noise)
    t = torch.linspace(0.05, 0.95, len(TOKENS), dtype=torch.float64)
    uniforms = torch.rand(TOKENS.shape, generator=torch.Generator().manual_seed(1))
    model = network(doubled=False, length=L)
    seen = few.noised(TOKENS, t, uniforms, TOKENS)
    masked = seen.inputs_BL == VOCAB.mask_id
    plain = Corrupted(seen.inputs_BL, TOKENS, (masked / t[:, None]).float())
    torch.testing.assert_close(nll(model, seen), nll(model, plain), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("keys", "objective", "said"),
    [
        ((), "hybrid", "needs training.uniform_noise"),
        (("uniform_noise=1",), "hybrid", "expected less than 1"),
        (("uniform_noise=0.1", "loss_weighting=maskgit"), "hybrid", '"elbo_t", its bound'),
        (("loss_weighting=elbo_realized",), "uniform", '"elbo_t", its bound'),
    ],
)
def test_what_no_run_could_be_is_refused_with_what_to_do(
    keys: tuple[str, ...], objective: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        load(tmp_path, *(f"training.{key}" for key in keys), objective=objective)
