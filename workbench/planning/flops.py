"""Floating-point operations of training and generation (arXiv 2511.03276, Figure 12's accounting).

A forward pass costs, for each token, 2 N for the weights outside the embedding that it passes
through (of a mixture of experts, the chosen ones and the router), 2 d V for the output layer, and
4 d a layer for each token attended to: T/2 on average under a causal mask, T under a bidirectional
one. Layers that are applied in k loops count k times. The backward pass costs twice the forward.
Muon's steps cost the products of Newton-Schulz too, whatever the batch; what AdamW does of each
parameter is not counted.
"""

from collections.abc import Iterable
from typing import Any

from workbench.errors import InputError
from workbench.messages import suggestion, whole_number
from workbench.recipe import RunConfig
from workbench.recipe.objectives import BASELINE, CHALLENGER, objective_facts
from workbench.recipe.sizes import SIZES, ModelShape


def forward_flops_per_token(shape: ModelShape, seq_len: int, *, causal: bool) -> float:
    """FLOPs of one token's share of a forward pass over `seq_len` tokens."""
    return _forward_flops(shape, seq_len / 2 if causal else seq_len)


def _forward_flops(shape: ModelShape, attended: float) -> float:
    """FLOPs of one input's share of a forward pass, with an output."""
    weights = 2 * shape.n_params_passed_non_embedding + 2 * shape.width * shape.vocab_size
    return float(weights + 4 * shape.width * shape.depth * attended)


def train_flops_per_token(shape: ModelShape, seq_len: int, *, causal: bool) -> float:
    """FLOPs of one token's share of a training step: forward and backward."""
    return 3 * forward_flops_per_token(shape, seq_len, causal=causal)


def train_flops_per_data_token(config: RunConfig) -> float:
    """FLOPs of training for each token of the budget, however often it passes the network: as
    one input or two, of which one has an output, in each presentation of its sequence."""
    shape, training = config.model.shape, config.training
    facts = objective_facts(training.objective)
    forward = _forward_flops(shape, facts.attended(training, config.data.seq_len))
    without_output = forward - 2 * shape.width * shape.vocab_size
    once = forward + (facts.streams - 1) * without_output
    found = facts.presentations(training) * (3 * once)
    if training.optimizer == "muon":
        found += newton_schulz_flops(shape) / config.tokens_per_step
    return found


def newton_schulz_flops(shape: ModelShape) -> float:
    """FLOPs of one step of Muon: five times, of each matrix X of m by n, m <= n, in the layers of
    a dense model, the products X X^T, its square (m by m) and that times X."""

    def of(rows: int, columns: int) -> float:
        m, n = sorted((rows, columns))
        return 5.0 * (4 * m * m * n + 2 * m**3)

    attention, feed_forward = of(shape.width, shape.width), of(shape.width, shape.ffn)
    return shape.layers * (4 * attention + 3 * feed_forward)


def train_flops(config: RunConfig) -> float:
    """FLOPs of a whole run's training, as planned. Its vocabulary has to be known."""
    return train_flops_per_data_token(config) * config.steps * config.tokens_per_step


def ar_generation_flops(shape: ModelShape, tokens: int, *, prompt: int = 0) -> float:
    """FLOPs of generating `tokens` tokens one by one with a KV cache: every token of prompt and
    answer passes the model once, and attends to those before it."""
    length = prompt + tokens
    return length * forward_flops_per_token(shape, length, causal=True)


def diffusion_generation_flops(
    shape: ModelShape, tokens: int, steps: int, *, prompt: int = 0
) -> float:
    """FLOPs of generating `tokens` tokens at once in `steps` denoising steps: each is a forward
    pass over the whole sequence, and nothing can be cached between them."""
    length = prompt + tokens
    return steps * length * forward_flops_per_token(shape, length, causal=False)


def sampling_flops(
    shape: ModelShape, length: int, passes: float, asked: int | None, *, cached: bool
) -> float:
    """FLOPs of one text as a sampler made it.

    Args:
        length: tokens of prompt and text.
        passes: forward passes that it took.
        asked: tokens a pass that asks for some: those of a block, or one; None where each token is
            read and asked for in one pass, as by AR.
        cached: whether every token is read once, and its keys and values are kept. Otherwise each
            pass is over all of them.
    """
    if not cached:
        return passes * length * forward_flops_per_token(shape, length, causal=False)
    each = forward_flops_per_token(shape, length, causal=True)
    return length * each + (0 if asked is None else passes * asked * each)


def generation_rows(
    shape: ModelShape, tokens: Iterable[int], steps: Iterable[int] | None, *, prompt: int = 0
) -> list[dict[str, Any]]:
    """Cost of generation for both objectives, a row for each length and number of steps.

    Args:
        steps: denoising steps; as many as tokens where None.
    """
    chosen = None if steps is None else list(steps)
    rows = []
    for n in tokens:
        ar = ar_generation_flops(shape, n, prompt=prompt)
        for count in [n] if chosen is None else chosen:
            diffusion = diffusion_generation_flops(shape, n, count, prompt=prompt)
            rows.append(
                {
                    "tokens": n,
                    "steps": count,
                    "ar_flops": ar,
                    "diffusion_flops": diffusion,
                    "ratio": diffusion / ar,
                }
            )
    return rows


def training_rows(shape: ModelShape, seq_len: int) -> list[dict[str, Any]]:
    """Training FLOPs a token of both objectives: they differ by what attention may see."""
    return [
        {
            "objective": objective,
            "n_params": shape.n_params,
            "n_params_active": shape.n_params_active,
            "n_params_non_embedding": shape.n_params_non_embedding,
            "seq_len": seq_len,
            "train_flops_per_token": train_flops_per_token(shape, seq_len, causal=causal),
            "over_6N": train_flops_per_token(shape, seq_len, causal=causal)
            / (6 * shape.n_params_active),
        }
        for objective, causal in ((BASELINE, True), (CHALLENGER, False))
    ]


def named_shape(size: str, vocab_size: int) -> ModelShape:
    """The shape of a named size with a vocabulary, which is padded.

    Raises:
        InputError: no such size.
    """
    if size not in SIZES:
        raise InputError(
            f"--size {size}: no such size{suggestion(size, SIZES) or '.'} "
            f"Sizes: {', '.join(SIZES)}."
        )
    return SIZES[size].shape(vocab_size)


def counts(option: str, text: str) -> list[int]:
    """`"16,4096"` as whole numbers above zero.

    Raises:
        InputError: anything else.
    """
    found = [whole_number(part) for part in text.split(",")]
    counted = [count for count in found if count is not None and count >= 1]
    if len(counted) < len(found):
        raise InputError(f"{option} {text}: expected whole numbers such as 16,4096.")
    return counted
