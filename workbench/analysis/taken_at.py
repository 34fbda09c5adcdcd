"""Which of a run's values is taken: the one at its end, or its best."""

from workbench.messages import choose

TAKEN_AT = ("last", "best")


def taken_at(at: str, known: tuple[str, ...] = TAKEN_AT) -> str:
    """Where a run's value is taken: "last", for which "final" is another word, or one of `known`.

    Raises:
        InputError: none of them.
    """
    return choose("--at", "last" if at == "final" else at, known)
