"""Which seeds to take where several groups of runs do not all have the same ones."""

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any


def common_seeds(seeds_of: Sequence[set[Any]]) -> tuple[list[int], list[Any]]:
    """The places of the groups to take, and the seeds that all of them have: as many groups times
    seeds as can be, so that one group of few seeds does not cost all others theirs.

    Returns:
        Both empty where no group has a seed. Of equal choices, the one with more seeds.
    """
    candidates: set[frozenset[Hashable]] = {frozenset(own) for own in seeds_of}
    candidates |= {frozenset(a & b) for a, b in combinations(seeds_of, 2)}
    if seeds_of:
        candidates.add(frozenset(set.intersection(*seeds_of)))
    best: tuple[list[int], list[Any]] = [], []
    for candidate in sorted(candidates, key=lambda one: (-len(one), sorted(map(str, one)))):
        places = [place for place, own in enumerate(seeds_of) if candidate <= own]
        if len(places) * len(candidate) > len(best[0]) * len(best[1]):
            best = places, sorted(candidate, key=str)
    return best


def left_out_note(count: int) -> str | None:
    """What is to be said of pairs that lack the seeds of the others."""
    if not count:
        return None
    pairs = "1 pair that lacks" if count == 1 else f"{count} pairs that lack"
    return f"without {pairs} these seeds"
