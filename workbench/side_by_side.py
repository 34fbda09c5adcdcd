"""Many small files at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def each(act: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """What `act` returns for each of many, in order. A disk that is told to keep hundreds of small
    files takes them many at a time in hardly more time than one."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(act, items))
