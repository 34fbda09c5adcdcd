"""Whole texts: seeds, batches, windows."""

import pytest
import torch

from tests.generation.tables import VOCAB
from workbench.errors import InputError
from workbench.generation.generate import generate
from workbench.generation.incremental import CachedDecoder, GroupDecoder
from workbench.generation.network import Network
from workbench.generation.samplers import SAMPLERS
from workbench.generation.settings import Settings
from workbench.recipe import OBJECTIVES, ModelConfig
from workbench.recipe.models import resolved_model
from workbench.training.model import initialise, model_config
from workbench.training.noise import drawn_alone, mask_and_drawn

CONTEXT = 16
PROMPT = torch.tensor([0, 2, 1, 1])


BLOCK = 4
EVERY = [(name, objective) for objective, facts in OBJECTIVES.items() for name in facts.samplers]


@pytest.fixture(scope="module")
def network() -> dict[str, Network]:
    """A model with random weights for each objective."""

    def build(objective: str) -> Network:
        facts = OBJECTIVES[objective]
        causal, doubled = facts.causal, facts.streams == 2
        config = resolved_model(
            ModelConfig(width=32, layers=2, heads=2, vocab_size=VOCAB.size, tied=False)
        )
        model = model_config(config, seq_len=CONTEXT, causal=causal, doubled=doubled).build()
        model.init_states()
        initialise(model, seed=0, std=0.15)
        model.eval().requires_grad_(False)
        size = BLOCK if objective == "block" else None

        def reader(batch: int, length: int) -> GroupDecoder:
            return GroupDecoder(model, batch=batch, length=length, group=size or 1)

        return Network(
            VOCAB,
            CONTEXT,
            model,
            lambda b, n: CachedDecoder(model, batch=b, length=n),
            block_size=size,
            reader=reader if doubled else None,
            mixing={"uniform": drawn_alone, "hybrid": mask_and_drawn(0.3)}.get(objective),
        )

    return {objective: build(objective) for objective in OBJECTIVES}


def settings(name: str, seed: int = 0, steps: int | None = 5) -> Settings:
    return Settings(seed=seed, steps=steps if "steps" in SAMPLERS[name].reads else None)


@pytest.mark.parametrize(("name", "objective"), EVERY)
def test_a_seed_gives_one_text_and_another_seed_another(name: str, objective: str, network) -> None:
    def make(seed: int) -> torch.Tensor:
        given = settings(name, seed)
        return generate(network[objective], SAMPLERS[name], PROMPT, 12, given).tokens_KL

    assert torch.equal(make(0), make(0))
    assert not torch.equal(make(0), make(1))


@pytest.mark.parametrize(("name", "objective"), EVERY)
@pytest.mark.parametrize("window", [None, 6])
def test_samples_together_are_the_samples_alone(
    name: str, objective: str, window: int | None, network
) -> None:
    def make(**keys: int) -> torch.Tensor:
        n = 12 if window is None else 33
        given = settings(name, steps=17)
        return generate(
            network[objective], SAMPLERS[name], PROMPT, n, given, window=window, **keys
        ).tokens_KL

    together = make(count=5)
    assert len(together.unique(dim=0)) == 5
    for number in range(5):
        assert torch.equal(together[number], make(count=1, first=number)[0])


@pytest.mark.parametrize(("name", "objective"), EVERY)
def test_the_prompt_stays_and_only_text_is_added(name: str, objective: str, network) -> None:
    given = settings(name, steps=20)
    made = generate(network[objective], SAMPLERS[name], PROMPT, 40, given, window=8)
    assert torch.equal(made.tokens_KL[0, :4], PROMPT)
    assert made.tokens_KL.shape == (1, 44)
    assert (made.tokens_KL < VOCAB.n_tokens).all()
    assert made.windows > 1
    assert made.tokens_per_second > 0


@pytest.mark.parametrize("name", ["ancestral", "confidence", "blocks"])
def test_one_step_takes_one_pass(name: str, network) -> None:
    made = generate(network["mdlm"], SAMPLERS[name], PROMPT, 12, settings(name, steps=1))
    assert made.passes == 1
    assert (made.tokens_KL < VOCAB.n_tokens).all()


@pytest.mark.parametrize("name", ["ancestral-blocks", "blocks"])
def test_blocks_are_those_of_training_and_each_takes_a_step(name: str, network) -> None:
    """A prompt of 5 with 8 more tokens: the second, third and fourth block, the last in part."""
    prompt = torch.tensor([0, 2, 1, 1, 0])
    made = generate(network["block"], SAMPLERS[name], prompt, 8, settings(name, steps=3))
    assert made.passes == 3
    with pytest.raises(InputError, match="--steps 2: there are 3 blocks of 4 tokens"):
        generate(network["block"], SAMPLERS[name], prompt, 8, settings(name, steps=2))


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("ar", "ar"),
        ("confidence", "mdlm"),
        ("blocks", "block"),
        ("random-order", "aoar"),
        ("left-to-right", "aoar"),
    ],
)
def test_a_text_without_prompt_fills_the_context(name: str, objective: str, network) -> None:
    empty = torch.zeros(0, dtype=torch.int64)
    given = settings(name, steps=None)
    made = generate(network[objective], SAMPLERS[name], empty, CONTEXT, given)
    assert made.new_KN.shape == (1, CONTEXT)
    assert made.passes == CONTEXT


def test_a_window_goes_on_from_the_last_tokens_alone(network) -> None:
    """Each piece is what the model gives after the end of the text so far."""
    window, sampler, greedy = 6, SAMPLERS["ar"], Settings(temperature=0)
    long = generate(network["ar"], sampler, PROMPT, 40, greedy, window=window).tokens_KL[0]
    have = CONTEXT
    while have < 44:
        room = min(CONTEXT - window, 44 - have)
        context = long[have - window : have]
        again = generate(network["ar"], sampler, context, room, greedy).new_KN[0]
        assert torch.equal(long[have : have + room], again)
        have += room


@pytest.mark.parametrize(
    ("n_new", "window", "steps", "message"),
    [
        (13, None, None, r"--tokens 13.*16 tokens of context.*at most 12.*--window"),
        (13, 16, None, "--window 16: expected 1 to 15"),
        (13, 0, None, "--window 0"),
        (0, None, None, "--tokens 0"),
        (40, 6, 3, "--steps 3: there are 4 windows"),
    ],
)
def test_what_does_not_fit_is_refused(
    n_new: int, window: int | None, steps: int | None, message: str, network
) -> None:
    given = Settings(steps=steps)
    with pytest.raises(InputError, match=message):
        generate(network["mdlm"], SAMPLERS["ancestral"], PROMPT, n_new, given, window=window)


@pytest.mark.parametrize(
    "keys",
    [{"temperature": -0.1}, {"temperature": float("nan")}, {"top_p": 0}, {"top_p": 1.1},
     {"steps": 0}, {"block_size": 0}],
)  # fmt: skip
def test_settings_that_no_sampler_can_use_are_refused(keys: dict) -> None:
    with pytest.raises(InputError, match="--" + next(iter(keys)).replace("_", "-")):
        Settings(**keys)
