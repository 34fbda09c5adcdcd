"""The sampler of noise that replaces tokens, against the law of its steps by enumeration."""

import pytest
import torch
from torch import Tensor, nn

from tests.generation.tables import agreement
from tests.generation.test_samplers import sample
from tests.training.chains import Chain
from tests.training.test_uniform import MIXINGS
from tests.training.toy import VOCAB, V, network
from workbench.generation.network import Network
from workbench.generation.settings import Settings
from workbench.training.noise import SCHEDULES

L = 2
each_kind = pytest.mark.parametrize("kind", MIXINGS)
MODEL = network(doubled=False, length=L)


def asked(kind: str, schedule: str = "linear", model: nn.Module = MODEL) -> Network:
    return Network(
        VOCAB,
        L,
        torch.no_grad()(model),
        lambda *_: None,
        SCHEDULES[schedule],
        mixing=MIXINGS[kind],
    )


def law(
    kind: str, steps: int, schedule: str = "linear", known: dict[int, int] | None = None
) -> dict[tuple[int, ...], float]:
    chain = Chain(MIXINGS[kind], L)
    levels = SCHEDULES[schedule].move_chance(
        1 - torch.arange(steps + 1, dtype=torch.float64) / steps
    )
    levels[0] = 1.0  # a sine of pi / 2 may round below
    reached = chain.sampled(chain.predictions(MODEL), levels, known)
    texts = map(tuple, chain.noisy_ZL.tolist())
    return dict(zip(texts, reached.tolist(), strict=True))


@each_kind
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_ancestral_samples_the_reverse_process_of_its_steps(kind: str, steps: int) -> None:
    drawn = sample("ancestral", asked(kind), Settings(steps=steps), n=8000, length=L)
    assert agreement(drawn, law(kind, steps)) > 1e-3
    other = "uniform" if kind != "uniform" else "hybrid, 0.5"
    if steps > 1:
        assert agreement(drawn, law(other, steps)) < 1e-6, "the test can tell"


@each_kind
def test_another_schedule_takes_other_steps_to_the_same_end(kind: str) -> None:
    settings = Settings(steps=3)
    drawn = sample("ancestral", asked(kind, "cosine"), settings, n=8000, length=L)
    assert agreement(drawn, law(kind, 3, "cosine")) > 1e-3
    few, many, most = (law(kind, steps) for steps in (20, 80, 320))
    far, near = (max(abs(one[text] - most[text]) for text in most) for one in (few, many))
    assert near < far / 2


@each_kind
def test_a_prompt_stays_and_is_seen_and_nothing_else_is_ever_sure(kind: str) -> None:
    shown: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, tokens_BL: Tensor) -> Tensor:
            shown.append(tokens_BL.clone())
            made: Tensor = MODEL(tokens_BL)
            return made

    settings = Settings(steps=6)
    drawn = sample("ancestral", asked(kind, model=Spy()), settings, (2,), n=4000, length=L)
    assert agreement(drawn, law(kind, 6, known={0: 2})) > 1e-3
    assert len(shown) == 6, "a pass each step"
    assert all((tokens[:, 0] == 2).all() for tokens in shown)
    masked = torch.stack([(tokens[:, 1] == VOCAB.mask_id).double().mean() for tokens in shown])
    assert masked[0] == (0 if kind == "uniform" else 1)
    assert (masked.diff() <= 0.02).all()
    clean = torch.stack([tokens[:, 1] for tokens in shown])
    left = (clean[1:] != clean[:-1]) & (clean[:-1] < V)
    assert left.any(), "a token that was seen may go again"
    assert (drawn < V).all()


def test_a_text_is_the_same_alone_and_among_others() -> None:
    settings = Settings(steps=4, seed=3)
    many = sample("ancestral", asked("hybrid, 0.1"), settings, n=16, length=L)
    few = sample("ancestral", asked("hybrid, 0.1"), settings, n=4, length=L)
    assert torch.equal(many[:4], few)


def test_temperature_0_takes_the_likeliest_and_draws_no_special_token() -> None:
    drawn = sample("ancestral", asked("uniform"), Settings(steps=50, temperature=0), n=64, length=L)
    assert (drawn < V).all()
    again = sample("ancestral", asked("uniform"), Settings(steps=50, temperature=0), n=64, length=L)
    assert torch.equal(drawn, again)
