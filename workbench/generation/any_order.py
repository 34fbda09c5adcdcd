"""Sampling of any-order AR models: one place after another, in an order drawn or given.

Shape suffixes: B sequences, L tokens a sequence, N inputs at once.
"""

import torch
from torch import Tensor

from workbench.generation.choice import Randomness, draw, probabilities
from workbench.generation.network import Network
from workbench.generation.settings import Canvas, Filled, Settings


def random_order(
    network: Network, canvas: Canvas, settings: Settings, randomness: Randomness
) -> Filled:
    """Each text in a random order of its places: at temperature 1 and top-p 1 exact samples of
    the model that training bounds, the mixture of its orders (XLNet, arXiv 1906.08237).

    A prompt is known first, in a random order too, as the context of an answer is in evaluation.
    """
    return _in_order(network, canvas, settings, randomness, by_chance=True)


def left_to_right(
    network: Network, canvas: Canvas, settings: Settings, randomness: Randomness
) -> Filled:
    """Places from left to right: exact samples of the model along that one order."""
    return _in_order(network, canvas, settings, randomness, by_chance=False)


def _in_order(
    network: Network,
    canvas: Canvas,
    settings: Settings,
    randomness: Randomness,
    *,
    by_chance: bool,
) -> Filled:
    assert network.reader is not None
    tokens_BL = canvas.tokens_BL.clone()
    reader = network.reader(*tokens_BL.shape)
    place_BL = _order(canvas, randomness if by_chance else None)
    read = 0
    for rank in range(canvas.start, canvas.length):
        # What has become known since the last step, and the place that is asked for: MASK.
        place_BN = place_BL[:, read : rank + 1]
        logits_BV = reader.predict(tokens_BL.gather(1, place_BN), place_BN)[:, 0]
        p_BV = probabilities(
            logits_BV,
            network.vocab.n_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
        )
        place_B = place_BL[:, rank]
        uniform_B = randomness.token(canvas.sample_B, place_B + canvas.offset)
        tokens_BL.scatter_(1, place_B[:, None], draw(p_BV, uniform_B)[:, None])
        read = rank
    return Filled(tokens_BL, canvas.length - canvas.start)


def _order(canvas: Canvas, randomness: Randomness | None) -> Tensor:
    """[B, L] places by rank: those of the prompt first. From left to right without randomness."""
    place_BL = torch.arange(canvas.length, device=canvas.tokens_BL.device)
    place_BL = place_BL.expand(len(canvas.tokens_BL), -1)
    if randomness is None:
        return place_BL
    uniform_BL = randomness.order(canvas.sample_B[:, None], canvas.place_L[None, :])
    parts = uniform_BL[:, : canvas.start], uniform_BL[:, canvas.start :]
    known_BP, sought_BN = (part.argsort(dim=1, stable=True) for part in parts)
    return torch.cat([known_BP, sought_BN + canvas.start], dim=1)
