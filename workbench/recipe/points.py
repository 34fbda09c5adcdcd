"""Points of a run that follow from their number."""


def evenly_spaced(steps: int, points: int) -> list[int]:
    """Steps of evenly spaced points, in order, the last step among them.

    Fewer than `points` where a run has fewer steps.
    """
    return sorted({max(1, round(steps * i / points)) for i in range(1, points + 1)})
