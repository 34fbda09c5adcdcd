"""What people type: pieces of name=value."""

from workbench.errors import InputError


def pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """`["a=1,b=2", "c=3"]` as a dictionary.

    Raises:
        InputError: a piece without a name or a value.
    """
    found: dict[str, str] = {}
    for piece in (part for text in given or [] for part in text.split(",")):
        name, equals, value = (part.strip() for part in piece.partition("="))
        if not (name and equals and value):
            raise InputError(f"{option} {piece}: expected name=value.")
        if name in found:
            raise InputError(f"{option} {piece}: {name} is given twice.")
        found[name] = value
    return found
