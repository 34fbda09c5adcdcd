"""Sampling of masked diffusion: which masked tokens become clean, in which order.

Shape suffixes: B sequences, L tokens a sequence, N masked tokens of all sequences, V tokens.
"""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from workbench.generation.choice import Randomness, draw, probabilities, surest_first
from workbench.generation.denoising import Denoise, Span, denoiser, whole_sequences
from workbench.generation.network import Network
from workbench.generation.replacing import reverse_process
from workbench.generation.settings import Canvas, Filled, Settings, spread

BLOCK_SIZE = 32  # tokens a block, where none is given


def ancestral(
    network: Network, canvas: Canvas, settings: Settings, randomness: Randomness
) -> Filled:
    """The reverse process of the noise schedule that the model was trained on.

    From t to s < t, each masked token becomes clean with probability
    (alpha_s - alpha_t) / (1 - alpha_t), by a draw from its own conditional (arXiv 2511.03276,
    section 2.2). Here each place draws one uniform u and stays masked while u < 1 - alpha: the
    same law, since P(u >= 1 - alpha_s | u < 1 - alpha_t) is that probability.

    Tokens that become clean in one step are drawn independently of each other; that is the one
    approximation, and it vanishes as steps grow. A step in which nothing happens costs nothing,
    so that no number of steps takes more forward passes than there are tokens.

    Where noise also replaces tokens, see `reverse_process`.
    """
    if network.mixing is not None:
        return reverse_process(network, canvas, settings, randomness)
    tokens_BL = canvas.tokens_BL.clone()
    span = (canvas.start, canvas.length)
    steps = settings.steps or canvas.length - canvas.start
    ask = whole_sequences(network)
    passes = _fill_by_time(network, ask, canvas, tokens_BL, span, steps, settings, randomness)
    return Filled(tokens_BL, passes)


def ancestral_blocks(
    network: Network, canvas: Canvas, settings: Settings, randomness: Randomness
) -> Filled:
    """Blocks from left to right, each by the reverse process while all to its right are masked.

    This is how block diffusion generates (Arriola et al. 2025, arXiv 2503.09573): such a model
    is shown the block and the clean ones before it. Of mdlm it is another order to draw places
    in: exact, like `ancestral`, as steps grow.
    """
    tokens_BL = canvas.tokens_BL.clone()
    ask, passes = denoiser(network, tokens_BL), 0.0
    for span, share in _blocks(network, canvas, settings):
        passes += _fill_by_time(network, ask, canvas, tokens_BL, span, share, settings, randomness)
    return Filled(tokens_BL, passes)


def _fill_by_time(
    network: Network,
    ask: Denoise,
    canvas: Canvas,
    tokens_BL: Tensor,
    span: Span,
    steps: int,
    settings: Settings,
    randomness: Randomness,
) -> float:
    """Fill a span of `tokens_BL` in place; returns the mean forward passes a sequence."""
    begin, end = span
    place_L = torch.arange(canvas.length, device=tokens_BL.device)
    masked_BL = ((place_L >= begin) & (place_L < end)).expand(len(tokens_BL), -1)
    keys = canvas.sample_B[:, None], canvas.place_L[None, :]
    order_BL, uniform_BL = randomness.order(*keys), randomness.token(*keys)
    sequence_passes = 0
    for step in range(1, steps + 1):
        now_BL = masked_BL & (order_BL >= _share_masked(network, step, steps))
        row_R = now_BL.any(dim=1).nonzero()[:, 0]
        rows = len(row_R)
        if rows == 0:
            continue
        some = None if rows == len(tokens_BL) else row_R
        now_BR = now_BL[:, begin:end]
        logits_NV = ask(tokens_BL, span, now_BR[row_R], some)
        p_NV = probabilities(
            logits_NV,
            network.vocab.n_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
        )
        tokens_BL[:, begin:end][now_BR] = draw(p_NV, uniform_BL[:, begin:end][now_BR])
        masked_BL = masked_BL & ~now_BL
        sequence_passes += rows
    return sequence_passes / len(tokens_BL)


def by_confidence(
    network: Network, canvas: Canvas, settings: Settings, randomness: Randomness
) -> Filled:
    """Low-confidence remasking (LLaDA, arXiv 2502.09992, algorithm 5): every step draws all
    masked tokens and keeps those that the model finds likeliest.

    How many stay masked follows the noise schedule. Of places that are equally sure, chance
    chooses. The order depends on what is drawn, so this is no sample of the model, at any number
    of steps: it favours likely text.
    """
    tokens_BL = canvas.tokens_BL.clone()
    steps = settings.steps or canvas.length - canvas.start
    span, ask = (canvas.start, canvas.length), whole_sequences(network)
    passes = _fill_by_confidence(network, ask, canvas, tokens_BL, span, steps, settings, randomness)
    return Filled(tokens_BL, passes)


def blocks(network: Network, canvas: Canvas, settings: Settings, randomness: Randomness) -> Filled:
    """Blocks from left to right, each by confidence while all to its right are masked: LLaDA's
    semi-autoregressive remasking. A model that was trained on blocks is shown the block and the
    clean ones before it. Steps are shared out evenly."""
    tokens_BL = canvas.tokens_BL.clone()
    ask, passes = denoiser(network, tokens_BL), 0.0
    for span, share in _blocks(network, canvas, settings):
        passes += _fill_by_confidence(
            network, ask, canvas, tokens_BL, span, share, settings, randomness
        )
    return Filled(tokens_BL, passes)


def _blocks(network: Network, canvas: Canvas, settings: Settings) -> Iterator[tuple[Span, int]]:
    """Spans from left to right, each with its share of the steps.

    Blocks begin at the end of the prompt; of a network that was trained on blocks, where its own
    begin.
    """
    size = network.block_size or settings.block_size or BLOCK_SIZE
    origin = 0 if network.block_size else canvas.start
    inner = range(origin + ((canvas.start - origin) // size + 1) * size, canvas.length, size)
    spans = list(itertools.pairwise([canvas.start, *inner, canvas.length]))
    steps = settings.steps or canvas.length - canvas.start
    sizes = [end - begin for begin, end in spans]
    yield from zip(spans, spread(steps, sizes, f"blocks of {size} tokens"), strict=True)


def _fill_by_confidence(
    network: Network,
    ask: Denoise,
    canvas: Canvas,
    tokens_BL: Tensor,
    span: Span,
    steps: int,
    settings: Settings,
    randomness: Randomness,
) -> int:
    """Fill a span of `tokens_BL` in place; returns the forward passes it took."""
    (begin, end), n_tokens = span, network.vocab.n_tokens
    place_1R, sample_B1 = canvas.place_L[None, begin:end], canvas.sample_B[:, None]
    region_BR = tokens_BL[:, begin:end]  # a view: what is written here is in the sequence
    masked_BR = torch.ones_like(region_BR, dtype=torch.bool)
    n_masked, passes = end - begin, 0
    for step in range(1, steps + 1):
        share = _share_masked(network, step, steps)
        n_next = math.floor((end - begin) * share + 0.5 + 1e-9)
        if n_next >= n_masked:
            continue
        logits_NV = ask(tokens_BL, span, masked_BR, None)
        p_NV = probabilities(
            logits_NV, n_tokens, temperature=settings.temperature, top_p=settings.top_p
        )
        step_11 = torch.full((1, 1), step, device=tokens_BL.device)
        drawn_N = draw(p_NV, randomness.token(sample_B1, place_1R, step_11)[masked_BR])
        # Confidence is the model's own probability, whatever the temperature.
        log_p_NV = logits_NV[..., :n_tokens].double().log_softmax(dim=-1)
        drawn_BR = region_BR.masked_scatter(masked_BR, drawn_N)
        sure_BR = torch.full_like(region_BR, -math.inf, dtype=torch.float64)
        sure_BR = sure_BR.masked_scatter(masked_BR, log_p_NV.gather(-1, drawn_N[:, None])[:, 0])
        tie_BR = randomness.order(sample_B1, place_1R, step_11)
        surest_BK = surest_first(sure_BR, tie_BR)[:, : n_masked - n_next]
        region_BR.scatter_(1, surest_BK, drawn_BR.gather(1, surest_BK))
        masked_BR = masked_BR.scatter(1, surest_BK, torch.zeros_like(surest_BK, dtype=torch.bool))
        n_masked = n_next
        passes += 1
    assert n_masked == 0
    return passes


def _share_masked(network: Network, step: int, steps: int) -> float:
    """1 - alpha after `step` of `steps` equal steps of time from 1 to 0."""
    time = torch.tensor(1 - step / steps, dtype=torch.float64)
    return float(network.schedule.move_chance(time))
