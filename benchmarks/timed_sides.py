"""Two programs that take turns: each trains in a process of its own, timed block by block.

A block's ratio compares neighbours in time, so a noisy machine moves both sides.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable


def serve_steps(step: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> None:
    """Take as many steps as each line of input asks for, and print the seconds a step."""
    for line in sys.stdin:
        count = int(line)
        began = clock()
        for _ in range(count):
            step()
        print((clock() - began) / count, flush=True)


class Side:
    """The other end of `serve_steps`: a program that serves when it is called with `--serve`."""

    def __init__(self, program: str, *arguments: str, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, program, "--serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )

    def time(self, count: int) -> float:
        """Seconds a step over the next `count` steps."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def take_turns(
    ours: Side, theirs: Side, *, blocks: int, block_seconds: float
) -> list[tuple[float, float]]:
    """Seconds a step of both sides, a pair a block; both processes have ended then."""
    count = max(3, int(block_seconds / theirs.time(3)))
    for side in (ours, theirs):
        side.time(max(5, count // 2))  # warm-up, compilation included
    pairs = [(ours.time(count), theirs.time(count)) for _ in range(blocks)]
    for side in (ours, theirs):
        side.process.communicate()
    return pairs


def spread(ratios: list[float]) -> str:
    """The median, with the lowest and the highest."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
