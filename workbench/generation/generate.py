"""From a prompt to texts: batches of samples, and a window over what is longer than the context.

Shape suffixes: K samples, P tokens of the prompt, L tokens in all.
"""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import InputError
from workbench.generation.choice import Randomness
from workbench.generation.network import Network
from workbench.generation.samplers import Sampler
from workbench.generation.settings import Canvas, Settings, spread

_LOGITS_AT_ONCE = 2**28  # numbers: 1 GiB of float32
_SEQUENCES_AT_ONCE = 64


@dataclass(frozen=True)
class Generated:
    """Samples with what they cost."""

    tokens_KL: Tensor
    """Prompt and completion, on the host."""
    n_prompt: int
    seconds: float
    passes: float
    """Forward passes a sample: of one token or block each with a KV cache, else of the whole
    window."""
    windows: int
    """How many windows each text was made in: 1 where it fits the context."""

    @property
    def new_KN(self) -> Tensor:
        """The completions."""
        return self.tokens_KL[:, self.n_prompt :]

    @property
    def tokens_per_second(self) -> float:
        """New tokens of all samples a second."""
        return self.new_KN.numel() / self.seconds


def generate(
    network: Network,
    sampler: Sampler,
    prompt_P: Tensor,
    n_new: int,
    settings: Settings,
    *,
    count: int = 1,
    first: int = 0,
    window: int | None = None,
) -> Generated:
    """Sample `count` completions of a prompt.

    Sample number k of a seed is the same text whether it is drawn alone or with others.

    Args:
        prompt_P: token ids; may be empty. Or [count, P], a prompt for each sample.
        n_new: tokens to add.
        first: number of the first sample.
        window: where prompt and completion exceed the context, go on from the last `window`
            tokens as often as needed. None refuses that.

    Raises:
        InputError: the text is longer than the context and there is no window.
    """
    n_prompt = prompt_P.shape[-1]
    prompt_KP = prompt_P.expand(count, n_prompt)
    pieces = _pieces(n_prompt, n_new, network.context, window)
    begun = time.perf_counter()
    parts, passes = [], 0.0
    longest = max(before + new for before, new in pieces)
    asked = 1 if sampler.one_by_one else network.block_size or longest
    at_once = _at_once(network, asked)
    for start in range(first, first + count, at_once):
        sample_K = torch.arange(start, min(start + at_once, first + count), device=network.device)
        own_KP = prompt_KP[start - first : start - first + len(sample_K)]
        tokens_KL, per_sample = _complete(network, sampler, own_KP, pieces, settings, sample_K)
        parts.append(tokens_KL.cpu())
        passes += per_sample * len(sample_K)
    return Generated(
        tokens_KL=torch.cat(parts),
        n_prompt=n_prompt,
        seconds=time.perf_counter() - begun,
        passes=passes / count,
        windows=len(pieces),
    )


def _pieces(n_prompt: int, n_new: int, context: int, window: int | None) -> list[tuple[int, int]]:
    """Return the number of tokens before and of tokens to add, for each window."""
    if n_new < 1:
        raise InputError(f"--tokens {n_new}: expected 1 or more.")
    if n_prompt + n_new <= context:
        return [(n_prompt, n_new)]
    if window is None:
        raise InputError(
            f"--tokens {n_new}: with the prompt's {n_prompt} that is longer than the "
            f"{context} tokens of context that the model was trained on. Ask for at most "
            f"{max(context - n_prompt, 0)}, or give --window (say {context // 2}): the text then "
            "goes on from its last so many tokens, and the model sees none before them."
        )
    if not 0 < window < context:
        raise InputError(
            f"--window {window}: expected 1 to {context - 1}, less than the model's context."
        )
    pieces, have = [], n_prompt
    while have < n_prompt + n_new:
        before = have if have <= window else window
        new = min(context - before, n_prompt + n_new - have)
        pieces.append((before, new))
        have += new
    return pieces


def _at_once(network: Network, positions: int) -> int:
    """Sequences a forward pass can take without its logits filling the memory."""
    fitting = _LOGITS_AT_ONCE // (positions * network.vocab.size)
    return max(1, min(fitting, _SEQUENCES_AT_ONCE))


def _complete(
    network: Network,
    sampler: Sampler,
    prompt_KP: Tensor,
    pieces: list[tuple[int, int]],
    settings: Settings,
    sample_K: Tensor,
) -> tuple[Tensor, float]:
    randomness = Randomness(settings.seed)
    shares: list[int] | None = None
    if settings.steps is not None:
        shares = spread(settings.steps, [new for _, new in pieces], "windows")
    tokens_KL = prompt_KP.to(network.device)
    passes = 0.0
    for number, (before, new) in enumerate(pieces):
        offset = tokens_KL.shape[1] - before
        masks = tokens_KL.new_full((len(sample_K), new), network.vocab.mask_id)
        canvas = Canvas(torch.cat([tokens_KL[:, offset:], masks], dim=1), before, sample_K, offset)
        here = settings if shares is None else settings.with_steps(shares[number])
        filled = sampler.fill(network, canvas, here, randomness)
        tokens_KL = torch.cat([tokens_KL, filled.tokens_BL[:, before:]], dim=1)
        passes += filled.passes
    return tokens_KL, passes
