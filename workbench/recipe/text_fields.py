"""`text_key`: the field of a row that is its text, or a template that joins several."""

import string
from collections.abc import Callable

from workbench.errors import InputError


def template(text_key: str) -> tuple[list[str], Callable[[list[str]], str] | None]:
    """The fields that a text_key names, and what joins their texts: None for one field alone.

    Fields stand in braces; doubled braces are braces. A key without any is one field's name.

    Raises:
        InputError: braces that do not close, or with more than a name between them.
    """
    if "{" not in text_key:
        return [text_key], None
    try:
        parts = list(string.Formatter().parse(text_key))
        # A conversion or a format would reach into values: only names are taken.
        plain = all(name is None or (name and not (spec or how)) for _, name, spec, how in parts)
    except ValueError:
        plain = False
    names = [name for _, name, _, _ in parts if name] if plain else []
    if not names:
        raise InputError(
            f'data.text_key = "{text_key}": a template has names of fields in braces, as in '
            '"{instruction}\\n{output}"; {{ and }} are braces of the text.'
        )

    def joined(values: list[str]) -> str:
        remaining = iter(values)
        return "".join(text + (next(remaining) if name else "") for text, name, _, _ in parts)

    return names, joined
