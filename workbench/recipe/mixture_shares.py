"""How many unique windows of a mixture come from each of its corpora."""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

MAX_PERIOD = 100_000


def whole_weights(weights: Sequence[float]) -> tuple[int, ...]:
    """The same proportions in whole numbers without a common divisor, as the decimals read."""
    exact = [Fraction(repr(float(weight))) for weight in weights]
    scale = math.lcm(*(weight.denominator for weight in exact))
    whole = [int(weight * scale) for weight in exact]
    divisor = math.gcd(*whole)
    return tuple(weight // divisor for weight in whole)


def apportion(n_windows: int, weights: Sequence[float]) -> list[int]:
    """Windows of each corpus out of `n_windows`.

    Each number is within one window of its exact share, and none ever falls as `n_windows`
    grows, so that budgets nest within each corpus. Rounding alone does not give both (the
    Alabama paradox); an order in which windows are handed out does: Tijdeman's for the chairman
    assignment problem (Discrete Mathematics 32, 1980). It repeats after the sum of the weights.
    """
    whole = whole_weights(weights)
    periods, rest = divmod(n_windows, sum(whole))
    return [
        periods * weight + more for weight, more in zip(whole, _first(rest, whole), strict=True)
    ]


@lru_cache(maxsize=256)
def _first(n: int, weights: tuple[int, ...]) -> tuple[int, ...]:
    """How often each number is chosen in the first n places of Tijdeman's order."""
    total, slack = sum(weights), max(2 * len(weights) - 2, 1)
    counts = [0] * len(weights)
    for place in range(1, n + 1):
        # How far each is behind its share, in units of 1 / (slack * total).
        behind = [slack * (place * w - total * c) for w, c in zip(weights, counts, strict=True)]
        eligible = [i for i, debt in enumerate(behind) if debt >= total] or range(len(weights))
        chosen = min(eligible, key=lambda i: ((slack * total - total - behind[i]) / weights[i], i))
        counts[chosen] += 1
    return tuple(counts)
