"""Counter-based random numbers: a uniform is a pure function of its key.

A generator has a state, which has to be saved, restored and be another on each rank.
A hash has none: the mask of token 17 of sample 3 in epoch 5 is the same on any rank, on any
number of ranks and after any resume, and a whole batch is drawn without a Python loop.

The mixer is the finaliser of SplitMix64 (Steele, Lea & Flood 2014), in int64 arithmetic that
wraps modulo 2**64.
"""

import hashlib

import torch
from torch import Tensor

# The int64 of the same 64 bits as the unsigned constants of the source.
_GOLDEN = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15
_MULTIPLIER_1 = -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
_MULTIPLIER_2 = -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Shift logically: `>>` on int64 copies the sign bit, so mask it away."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30)) * _MULTIPLIER_1
    x = (x ^ _shift_right(x, 27)) * _MULTIPLIER_2
    return x ^ _shift_right(x, 31)


def stream_key(*parts: int | str) -> int:
    """A 64-bit key for one named stream of numbers, as a signed integer."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def hash_bits(key: int | Tensor, *counters: Tensor) -> Tensor:
    """64 random bits from a stream's key and integer counters.

    Args:
        key: from `stream_key`, or what this has returned: more counters refine a key.
        counters: int64 tensors that broadcast against each other and the key.

    Returns:
        int64, in the broadcast shape.
    """
    if isinstance(key, int):
        key = torch.full((), key, dtype=torch.int64, device=counters[0].device)
    for counter in counters:
        key = _mix((key ^ counter) + _GOLDEN)
    return key


def hash_uniform(key: int, *counters: Tensor) -> Tensor:
    """Uniforms in (0, 1) from a stream's key and integer counters.

    Args:
        key: from `stream_key`.
        counters: int64 tensors that broadcast against each other.

    Returns:
        float32, in the broadcast shape, from 2**-25 to 1 - 2**-24: neither 0 nor 1 occurs, so that
        1/u is finite, and u < p is never true at p = 0 and always true at p = 1.
    """
    return unit_interval(hash_bits(key, *counters))


def unit_interval(bits: Tensor) -> Tensor:
    """Numbers in (0, 1), float32, from the first 24 of 64 bits."""
    # 24 bits fill a float32 mantissa exactly. Half a step keeps clear of 0; above 1/2 it is rounded
    # away, the last step's to 1.
    uniforms = (_shift_right(bits, 40).to(torch.float32) + 0.5) * 2.0**-24
    return uniforms.clamp(max=1 - 2.0**-24)


def hash_below(n: int, key: int, *counters: Tensor) -> Tensor:
    """Integers from 0 to n - 1, each as likely, from a stream's key and integer counters: int64, in
    the broadcast shape of the counters."""
    # 63 bits: what does not divide evenly is a share of n / 2**63.
    return _shift_right(hash_bits(key, *counters), 1) % n
