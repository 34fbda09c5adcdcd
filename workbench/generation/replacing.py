"""Sampling of diffusion whose noise also replaces tokens: every place may change in every step.

Shape suffixes: B sequences, L tokens a sequence, N places to fill of all sequences, V tokens, S
states of a place: the tokens, and then MASK.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.generation.choice import Randomness, draw, probabilities
from workbench.generation.network import Network
from workbench.generation.settings import Canvas, Filled, Settings
from workbench.training.noise import Mixing


@dataclass(frozen=True)
class _Level:
    """Chances at one level of noise, as numbers."""

    clean: float
    each: float
    """Of each single token to be drawn."""
    mask: float

    def law(self, p_NV: Tensor) -> Tensor:
        """[N, S] the distribution of a token under noise, from that of the token."""
        return F.pad(self.clean * p_NV + self.each, (0, 1), value=self.mask)

    def arriving(self, lower: "_Level", state_N: Tensor, n_tokens: int) -> Tensor:
        """[N] the chance that noise replaces a token by this state between a lower level and this:
        what is seen here, less what was seen there and is left."""
        left = self.clean / lower.clean
        kinds = [self.each - left * lower.each, self.mask - left * lower.mask]
        arriving_2 = torch.tensor(kinds, dtype=torch.float64, device=state_N.device).clamp(min=0)
        return arriving_2[(state_N == n_tokens).long()]


def reverse_process(
    network: Network, canvas: Canvas, settings: Settings, randomness: Randomness
) -> Filled:
    """The reverse process of the noise that the model was trained on (GIDD, arXiv 2503.04482;
    UDLM, arXiv 2412.10193).

    It begins with what noise alone leaves: random tokens, or MASK. From time t to s < t each place
    z_t becomes z_s with the chance that noise which makes z_t of z_s has, times that of z_s under
    the noise of s, were the token drawn from the prediction. Places are drawn independently of each
    other in a step; that is the one approximation, and it vanishes as steps grow. Each step is a
    forward pass.
    """
    assert network.mixing is not None
    n_tokens, start = network.vocab.n_tokens, canvas.start
    steps = settings.steps or canvas.length - start
    levels = [_level(network, network.mixing, step, steps) for step in range(steps + 1)]
    keys = canvas.sample_B[:, None], canvas.place_L[None, start:]
    tokens_BL = canvas.tokens_BL.clone()
    sought_BL = torch.zeros_like(tokens_BL, dtype=torch.bool)
    sought_BL[:, start:] = True
    uniform_N = randomness.order(*keys).flatten()
    state_N = draw(levels[0].law(uniform_N.new_zeros(len(uniform_N), n_tokens)), uniform_N)
    for step in range(1, steps + 1):
        tokens_BL[:, start:] = _ids(state_N, network).view(len(tokens_BL), -1)
        p_NV = probabilities(
            network.logits_at(tokens_BL, sought_BL),
            n_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
        )
        higher, lower = levels[step - 1], levels[step]
        law_NS = lower.law(p_NV)
        stayed_NS = F.one_hot(state_N, n_tokens + 1) * (higher.clean / lower.clean)
        arrived_N1 = higher.arriving(lower, state_N, n_tokens)[:, None]
        step_11 = torch.full((1, 1), step, device=tokens_BL.device)
        uniform_N = randomness.token(*keys, step_11).flatten()
        state_N = draw((stayed_NS + arrived_N1) * law_NS, uniform_N)
    tokens_BL[:, start:] = _ids(state_N, network).view(len(tokens_BL), -1)
    return Filled(tokens_BL, steps)


def _ids(state_N: Tensor, network: Network) -> Tensor:
    vocab = network.vocab
    return torch.where(state_N == vocab.n_tokens, vocab.mask_id, state_N)


def _level(network: Network, mixing: Mixing, step: int, steps: int) -> _Level:
    """After `step` of `steps` equal steps of time from 1 to 0."""
    time = torch.tensor(1 - step / steps, dtype=torch.float64)
    at = mixing(network.schedule.move_chance(time))
    return _Level(float(at.clean), float(at.drawn) / network.vocab.n_tokens, float(at.mask))
