"""Sampling from left to right."""

import torch

from workbench.generation.choice import Randomness, draw, probabilities
from workbench.generation.network import Network
from workbench.generation.settings import Canvas, Filled, Settings


def autoregressive(
    network: Network, canvas: Canvas, settings: Settings, randomness: Randomness
) -> Filled:
    """One token after another, each from its conditional given BOS and those before it: at
    temperature 1 and top-p 1, exact samples of the model (arXiv 2511.03276, equation 1)."""
    tokens_BL, place_L = canvas.tokens_BL.clone(), canvas.place_L
    batch = len(tokens_BL)
    decoder = network.decoder(batch, canvas.length)
    bos_B1 = tokens_BL.new_full((batch, 1), network.vocab.bos_id)
    inputs_BN = torch.cat([bos_B1, tokens_BL[:, : canvas.start]], dim=1)
    for place in range(canvas.start, canvas.length):
        p_BV = probabilities(
            decoder.extend(inputs_BN),
            network.vocab.n_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
        )
        uniform_B = randomness.token(canvas.sample_B, place_L[place])
        tokens_BL[:, place] = draw(p_BV, uniform_B)
        inputs_BN = tokens_BL[:, place : place + 1]
    return Filled(tokens_BL, canvas.length - canvas.start)
