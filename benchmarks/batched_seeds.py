"""Several seeds of one configuration as one stacked model, beside one after the other.

Would it pay to train the seeds of a sweep as one model whose weights have a dimension more? A plain
decoder in float32 on one thread, forward, backward and AdamW; both sides do the same arithmetic and
take turns. Times are the process's CPU seconds; above 1 the stacked model is faster.

    python benchmarks/batched_seeds.py
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from timed_sides import spread
from torch import Tensor
from torch.nn import functional as F

VOCABULARY, STEPS, BLOCKS = 264, 4, 6
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Shape:
    """What one seed trains: `batch` windows of `length` tokens."""

    seeds: int
    batch: int
    length: int
    width: int
    layers: int
    heads: int


SHAPES = (
    Shape(4, 32, 64, 64, 4, 4),  # the quickstart's
    Shape(8, 32, 64, 32, 4, 4),
    Shape(8, 8, 64, 64, 4, 4),
    Shape(8, 8, 64, 32, 4, 4),
    Shape(8, 4, 32, 16, 2, 2),
)


def make_weights(seeds: int, shape: Shape) -> Weights:
    width, ffn = shape.width, 2 * shape.width
    sizes = {"qkv": (3 * width, width), "o": (width, width), "w1": (ffn, width),
             "w3": (ffn, width), "w2": (width, ffn)}  # fmt: skip
    named = {
        f"{layer}.{name}": size for layer in range(shape.layers) for name, size in sizes.items()
    }
    named["embedding"] = (VOCABULARY, width)
    return {
        name: (0.1 * torch.randn(seeds, *size)).requires_grad_() for name, size in named.items()
    }


def logits(weights: Weights, tokens_SBL: Tensor, shape: Shape) -> Tensor:
    """[S, B * L, V]: each seed's own tokens through its own weights."""
    seeds, batch, length = tokens_SBL.shape
    embedding = weights["embedding"]
    x = torch.stack([F.embedding(tokens_SBL[s], embedding[s]) for s in range(seeds)]).flatten(1, 2)

    def linear(hidden: Tensor, name: str) -> Tensor:
        return torch.bmm(hidden, weights[name].transpose(1, 2))

    def norm(hidden: Tensor) -> Tensor:
        return F.rms_norm(hidden, (shape.width,))

    for layer in range(shape.layers):
        qkv = linear(norm(x), f"{layer}.qkv").view(seeds * batch, length, 3, shape.heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        x = x + linear(attended.reshape(x.shape), f"{layer}.o")
        h = norm(x)
        x = x + linear(F.silu(linear(h, f"{layer}.w1")) * linear(h, f"{layer}.w3"), f"{layer}.w2")
    return linear(norm(x), "embedding")


def trainer(seeds: int, shape: Shape) -> Callable[[Tensor], None]:
    """One step of `seeds` stacked models."""
    weights = make_weights(seeds, shape)
    optimizer = torch.optim.AdamW(list(weights.values()), lr=1e-3, fused=True)

    def step(tokens_SBL: Tensor) -> None:
        found = logits(weights, tokens_SBL, shape)
        losses = F.cross_entropy(found.flatten(0, 1), tokens_SBL.flatten(), reduction="none")
        optimizer.zero_grad()
        losses.view(seeds, -1).mean(dim=1).sum().backward()
        optimizer.step()

    return step


def ratios(shape: Shape) -> list[float]:
    """CPU seconds of separate models over those of the stacked one, a ratio a block."""
    tokens = torch.randint(0, 256, (shape.seeds, shape.batch, shape.length))
    stacked = trainer(shape.seeds, shape)
    alone = [trainer(1, shape) for _ in range(shape.seeds)]
    found = []
    for _ in range(BLOCKS + 1):
        began = time.process_time()
        for _ in range(STEPS):
            stacked(tokens)
        between = time.process_time()
        for _ in range(STEPS):
            for seed, step in enumerate(alone):
                step(tokens[seed : seed + 1])
        found.append((time.process_time() - between) / (between - began))
    return found[1:]  # the first warms up


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for shape in SHAPES:
        found = ratios(shape)
        print(
            f"{shape.seeds} seeds of width {shape.width}, {shape.layers} layers, batches of "
            f"{shape.batch} x {shape.length}: {spread(found)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
