"""Points in the order in which they were written, by a run that may have been resumed."""

from collections.abc import Callable, Iterable, Mapping

from workbench.errors import InputError
from workbench.importing.run_log import RunLog

Row = tuple[int, int, Mapping[str, float]]
"""Position in the source, step, tag -> value."""


def add_rows(
    log: RunLog, rows: Iterable[Row], place: Callable[[int], str], *, repeats: bool = False
) -> None:
    """Add points to a log's scalars. Where a tag goes back to an earlier step, the run was resumed
    there: what all tags have from that step on belongs to an attempt that was given up.

    Args:
        place: a position, for messages.
        repeats: whether a step that has a value may be given another one, which then stands.

    Raises:
        InputError: a tag goes back to the first step or has two values at one, as where rows of
            several runs are mixed.
    """
    scalars, last = log.scalars, dict[str, int]()
    first: int | None = None
    repeated = 0
    for position, step, values in rows:
        first = step if first is None else min(first, step)
        if any(last.get(tag, -1) > step for tag in values):
            if step <= first:
                raise _mixed(place(position), f"steps begin again at {step:,}")
            highest = max(last.values())
            gone = _purge(scalars, step)
            last = {tag: max(curve) for tag, curve in scalars.items() if curve}
            log.notes.append(
                f"{place(position)}: steps go back from {highest:,} to {step:,}: {gone:,} "
                "points of the attempt before are left out."
            )
        for tag, value in values.items():
            curve = scalars.setdefault(tag, {})
            if curve.get(step, value) != value:
                if not repeats:
                    raise _mixed(place(position), f"{tag} has another value at step {step:,}")
                repeated += 1
            curve[step] = value
            last[tag] = step
    for tag in [tag for tag, curve in scalars.items() if not curve]:
        del scalars[tag]
    if repeated:
        log.notes.append(f"of several values at one step the last one stands: {repeated:,} times.")


def _purge(scalars: dict[str, dict[int, float]], step: int) -> int:
    gone = 0
    for curve in scalars.values():
        for old in [old for old in curve if old >= step]:
            del curve[old]
            gone += 1
    return gone


def _mixed(place: str, what: str) -> InputError:
    return InputError(
        f"{place}: {what}. Are several runs in it? In a table --label COLUMN takes a column that "
        "distinguishes them."
    )
