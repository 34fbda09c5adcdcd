"""Sampling of masked diffusion: which masked tokens become clean, in which order.

Shape suffixes: B sequences, L tokens a sequence, N masked tokens of all sequences, V tokens.
"""

import itertools
import math

import torch
from torch import Tensor

from workbench.generation.choice import Randomness, draw, probabilities
from workbench.generation.network import Network
from workbench.generation.settings import Canvas, Filled, Settings, spread

BLOCK_SIZE = 32  # tokens a block where none is given: LLaDA's (arXiv 2502.09992, appendix B.4)


def ancestral(
    network: Network, canvas: Canvas, settings: Settings, randomness: Randomness
) -> Filled:
    """The reverse process of the noise schedule that the model was trained on.

    From t to s < t, each masked token becomes clean with probability
    (alpha_s - alpha_t) / (1 - alpha_t), by a draw from its own conditional (Sahoo et al. 2024,
    arXiv 2406.07524, equation 6). Here each place draws one uniform u and stays masked while
    u < 1 - alpha: the same law, since P(u >= 1 - alpha_s | u < 1 - alpha_t) is that probability.

    Tokens that become clean in one step are drawn independently of each other; that is the one
    approximation, and it vanishes as steps grow. A step in which nothing happens costs nothing,
    so that no number of steps takes more forward passes than there are tokens.
    """
    tokens_BL = canvas.tokens_BL.clone()
    place_1L, sample_B1 = canvas.place_L[None, :], canvas.sample_B[:, None]
    masked_BL = (torch.arange(canvas.length, device=tokens_BL.device) >= canvas.start).expand(
        len(tokens_BL), -1
    )
    order_BL = randomness.order(sample_B1, place_1L)
    uniform_BL = randomness.token(sample_B1, place_1L)
    steps = settings.steps or canvas.length - canvas.start
    sequence_passes = 0
    for step in range(1, steps + 1):
        now_BL = masked_BL & (order_BL >= _share_masked(network, step, steps))
        row_B = now_BL.any(dim=1)
        rows = int(row_B.sum())
        if rows == 0:
            continue
        logits_NV = network.denoise(tokens_BL[row_B])[now_BL[row_B]]
        p_NV = probabilities(
            logits_NV,
            network.vocab.n_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
        )
        tokens_BL[now_BL] = draw(p_NV, uniform_BL[now_BL])
        masked_BL = masked_BL & ~now_BL
        sequence_passes += rows
    return Filled(tokens_BL, sequence_passes / len(tokens_BL))


def by_confidence(
    network: Network, canvas: Canvas, settings: Settings, randomness: Randomness
) -> Filled:
    """Low-confidence remasking (LLaDA, arXiv 2502.09992, algorithm 5): every step draws all
    masked tokens and keeps those that the model finds likeliest.

    How many stay masked follows the noise schedule. The order depends on what is drawn, so this
    is no sample of the model, at any number of steps: it favours likely text.
    """
    tokens_BL = canvas.tokens_BL.clone()
    steps = settings.steps or canvas.length - canvas.start
    passes = _fill_by_confidence(
        network, canvas, tokens_BL, canvas.start, canvas.length, steps, settings, randomness
    )
    return Filled(tokens_BL, passes)


def blocks(network: Network, canvas: Canvas, settings: Settings, randomness: Randomness) -> Filled:
    """Blocks from left to right, each by confidence while all to its right are masked: LLaDA's
    semi-autoregressive remasking. Steps are shared out evenly."""
    tokens_BL = canvas.tokens_BL.clone()
    size = settings.block_size or BLOCK_SIZE
    edges = [*range(canvas.start, canvas.length, size), canvas.length]
    spans = list(itertools.pairwise(edges))
    steps = settings.steps or canvas.length - canvas.start
    shares = spread(steps, [end - begin for begin, end in spans], f"blocks of {size} tokens")
    passes = 0
    for (begin, end), share in zip(spans, shares, strict=True):
        passes += _fill_by_confidence(
            network, canvas, tokens_BL, begin, end, share, settings, randomness
        )
    return Filled(tokens_BL, passes)


def _fill_by_confidence(
    network: Network,
    canvas: Canvas,
    tokens_BL: Tensor,
    begin: int,
    end: int,
    steps: int,
    settings: Settings,
    randomness: Randomness,
) -> int:
    """Fill places begin..end-1 of `tokens_BL` in place; returns the forward passes it took."""
    n_tokens, batch = network.vocab.n_tokens, len(tokens_BL)
    place_1R, sample_B1 = canvas.place_L[None, begin:end], canvas.sample_B[:, None]
    region_BR = tokens_BL[:, begin:end]  # a view: what is written here is in the sequence
    masked_BR = torch.ones_like(region_BR, dtype=torch.bool)
    n_masked, passes = end - begin, 0
    for step in range(1, steps + 1):
        share = _share_masked(network, step, steps)
        n_next = math.floor((end - begin) * share + 0.5 + 1e-9)
        if n_next >= n_masked:
            continue
        logits_NV = network.denoise(tokens_BL)[:, begin:end][masked_BR]
        p_NV = probabilities(
            logits_NV, n_tokens, temperature=settings.temperature, top_p=settings.top_p
        )
        step_11 = torch.full((1, 1), step, device=tokens_BL.device)
        drawn_N = draw(p_NV, randomness.token(sample_B1, place_1R, step_11)[masked_BR])
        # Confidence is the model's own probability, whatever the temperature.
        sure_N = probabilities(logits_NV, n_tokens).gather(-1, drawn_N[:, None])[:, 0]
        drawn_BR = region_BR.masked_scatter(masked_BR, drawn_N)
        sure_BR = torch.full_like(region_BR, -1.0, dtype=torch.float64)
        sure_BR = sure_BR.masked_scatter(masked_BR, sure_N)
        surest_BK = sure_BR.argsort(dim=1, descending=True, stable=True)[:, : n_masked - n_next]
        region_BR.scatter_(1, surest_BK, drawn_BR.gather(1, surest_BK))
        masked_BR = masked_BR.scatter(1, surest_BK, torch.zeros_like(surest_BK, dtype=torch.bool))
        n_masked = n_next
        passes += 1
    assert n_masked == 0, batch
    return passes


def _share_masked(network: Network, step: int, steps: int) -> float:
    """1 - alpha after `step` of `steps` equal steps of time from 1 to 0."""
    time = torch.tensor(1 - step / steps, dtype=torch.float64)
    return float(network.schedule.move_chance(time))
