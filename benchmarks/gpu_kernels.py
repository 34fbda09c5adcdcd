"""Single operations of the 1B model on one device, for `gpu_first_minutes.py`.

Attention by each of torch's backends, forward and backward, and with masks of each type against
plain arithmetic; matrix products, apart and as one. Times are medians in milliseconds.
"""

import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
FAR = 0.05
"""Relative error above which a result in bfloat16 is another result: rounding gives below 0.01."""


@dataclass(frozen=True)
class Sizes:
    """What is measured: on a GPU the 1B's, on a CPU next to nothing."""

    device: str
    batch: int
    length: int
    heads: int
    head_dim: int
    ffn: int
    vocab: int
    checked: int
    """Length at which results are compared with plain arithmetic, in float64."""
    repeats: int

    @property
    def width(self) -> int:
        return self.heads * self.head_dim

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.device == "cuda" else torch.float32


OF_1B = Sizes("cuda", 8, 2048, 14, 128, 4736, 50_304, checked=512, repeats=10)
TRIAL = Sizes("cpu", 1, 32, 2, 16, 64, 128, checked=32, repeats=2)


def milliseconds(call: Callable[[], object], device: str, repeats: int) -> float:
    """The median time of a call, after two to warm up."""
    times = []
    for place in range(repeats + 2):
        began = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        if place >= 2:
            times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v in float64, over the allowed pairs [Lq, Lk] alone."""
    q, k, v = q.double(), k.double(), v.double()
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    return scores.masked_fill(~allowed, float("-inf")).softmax(-1) @ v


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest value; infinite where something is not finite."""
    if not bool(torch.isfinite(found).all()):
        return float("inf")
    return float((found.double() - expected).abs().max() / expected.abs().max())


def _qkv(sizes: Sizes, batch: int, length: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, sizes.heads, length, sizes.head_dim)
    drawn = (torch.randn(shape, generator=generator) for _ in range(3))
    return [x.to(sizes.device, sizes.dtype).requires_grad_() for x in drawn]


def block_mask(length: int, size: int, device: str) -> Tensor:
    """Pairs [L, L] that block diffusion allows: a block sees itself and those before it."""
    block = torch.arange(length, device=device) // size
    return block[:, None] >= block[None, :]


@contextmanager
def _only(backend: SDPBackend | None) -> Iterator[list[str]]:
    """Attention by one backend, or torch's choice; the reasons that torch warns of."""
    reasons: list[str] = []
    with warnings.catch_warnings(record=True) as warned, ExitStack() as stack:
        warnings.simplefilter("always")
        if backend is not None:
            stack.enter_context(sdpa_kernel([backend]))
        try:
            yield reasons
        finally:
            reasons += dict.fromkeys(_line(warning.message) for warning in warned)


def _line(said: object) -> str:
    return str(said).strip().splitlines()[0][:200]


def attention_times(sizes: Sizes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each backend, causal and not: times, and TFLOP/s of the pairs that count."""
    q, k, v = _qkv(sizes, sizes.batch, sizes.length)
    for name, backend in BACKENDS.items():
        for causal in (False, True):
            key = f"{name} {'causal' if causal else 'bidirectional'}"

            def forward(causal: bool = causal) -> Tensor:
                return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

            def both(forward: Callable[[], Tensor] = forward) -> None:
                forward().sum().backward()

            reasons: list[str] = []
            try:
                with _only(backend) as reasons:
                    ahead = milliseconds(forward, sizes.device, sizes.repeats)
                    whole = milliseconds(both, sizes.device, sizes.repeats)
            except RuntimeError as error:
                yield key, {"refused": _line(error), "reasons": reasons}
                continue
            flops = 4 * sizes.batch * sizes.length**2 * sizes.width * (0.5 if causal else 1)
            yield (
                key,
                {
                    "forward_ms": ahead,
                    "forward_and_backward_ms": whole,
                    "forward_tflops": flops / ahead / 1e9,
                    "forward_and_backward_tflops": 3.5 * flops / whole / 1e9,
                },
            )


def attention_checks(sizes: Sizes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each backend with no mask and with masks of bool, of the compute type and of float32:
    whether output and gradients are those of plain arithmetic, or it refuses."""
    length = sizes.checked
    allowed = block_mask(length, max(1, length // 8), sizes.device)
    everything = torch.ones_like(allowed)
    causal = block_mask(length, 1, sizes.device)
    zeros = torch.zeros((length, length), device=sizes.device)
    additive = zeros.masked_fill(~allowed, float("-inf"))
    cases: dict[str, tuple[Tensor, dict[str, Any]]] = {
        "no mask": (everything, {}),
        "causal": (causal, {"is_causal": True}),
        "mask of bool": (allowed, {"attn_mask": allowed}),
        f"mask of {_name(sizes.dtype)}": (allowed, {"attn_mask": additive.to(sizes.dtype)}),
        "mask of float32": (allowed, {"attn_mask": additive}),
    }
    for name, backend in {"default": None, **BACKENDS}.items():
        for case, (pairs, options) in cases.items():
            yield f"{name}, {case}", _compared(sizes, backend, pairs, options)


def _compared(
    sizes: Sizes, backend: SDPBackend | None, allowed: Tensor, options: dict[str, Any]
) -> dict[str, Any]:
    ours, exact = (_qkv(sizes, 1, sizes.checked) for _ in range(2))
    reasons: list[str] = []
    try:
        with _only(backend) as reasons:
            found = F.scaled_dot_product_attention(*ours, **options)
            found.float().square().sum().backward()
    except RuntimeError as error:
        return {"refused": _line(error), "reasons": reasons}
    expected = plain_attention(*exact, allowed)
    expected.square().sum().backward()
    errors = {"output": relative_error(found.detach(), expected.detach())}
    for name, mine, other in zip("qkv", ours, exact, strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        errors[f"gradient of {name}"] = relative_error(mine.grad, other.grad.double())
    return {
        "errors": {key: error if math.isfinite(error) else None for key, error in errors.items()},
        "as_plain_arithmetic": max(errors.values()) < FAR,
    }


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def products(sizes: Sizes) -> Iterator[tuple[str, dict[str, Any]]]:
    """The products of a layer and of the head, those of one input apart and as one: forward, and
    forward with both of backward's."""
    width, ffn = sizes.width, sizes.ffn
    for name, inputs, outputs in (
        ("q, k, v apart", width, (width, width, width)),
        ("q, k, v as one", width, (3 * width,)),
        ("both of SwiGLU's inputs apart", width, (ffn, ffn)),
        ("both of SwiGLU's inputs as one", width, (2 * ffn,)),
        ("attention's output", width, (width,)),
        ("SwiGLU's output", ffn, (width,)),
        ("head", width, (sizes.vocab,)),
    ):
        yield name, _product(sizes, inputs, outputs)


def _product(sizes: Sizes, inputs: int, outputs: tuple[int, ...]) -> dict[str, Any]:
    made: Any = {"device": sizes.device, "dtype": sizes.dtype}
    rows = sizes.batch * sizes.length
    x = torch.randn(rows, inputs, **made, requires_grad=True)
    weights = [torch.randn(out, inputs, **made, requires_grad=True) for out in outputs]
    gradients = [torch.randn(rows, out, **made) for out in outputs]

    def forward() -> list[Tensor]:
        return [F.linear(x, weight) for weight in weights]

    def both() -> None:
        torch.autograd.grad(forward(), [x, *weights], gradients)

    ahead = milliseconds(forward, sizes.device, sizes.repeats)
    whole = milliseconds(both, sizes.device, sizes.repeats)
    flops = 2 * rows * inputs * sum(outputs)
    return {
        "forward_ms": ahead,
        "forward_and_backward_ms": whole,
        "forward_tflops": flops / ahead / 1e9,
        "forward_and_backward_tflops": 3 * flops / whole / 1e9,
    }
