"""Names of groups on figures: short, and never the same for two different groups."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from workbench.figures.theme import group_text

Group = dict[str, Any]


def group_names(groups: Sequence[Group]) -> list[str]:
    """A name for each group, in their order: equal for equal groups, and for no others.

    A name is as short as `group_text` makes it, unless two groups would share it: `adamw/v1` and
    `muon/v1` both shorten to v1. Those are called by their values in full, then by whole keys too.
    """
    return distinct([_identity(group) for group in groups], groups, (group_text, _full, _json))


def distinct(
    identities: Sequence[str], things: Sequence[Any], ways: Sequence[Callable[[Any], str]]
) -> list[str]:
    """A name for each thing, in their order: equal where the identities are, and nowhere else.

    Args:
        ways: how to name a thing, the shortest first. A longer one is taken where names meet; where
            they still do, a number distinguishes them.
    """
    known = dict(zip(identities, things, strict=True))
    names = {identity: ways[0](thing) for identity, thing in known.items()}
    for way in ways[1:]:
        shared = _shared(names)
        names |= {identity: way(known[identity]) for identity in shared}
    taken = set(names.values()) - {names[identity] for identity in _shared(names)}
    for identity in _shared(names):
        number = 1
        while (name := f"{names[identity]} ({number})") in taken:
            number += 1
        names[identity] = name
        taken.add(name)
    return [names[identity] for identity in identities]


def _shared(names: dict[str, str]) -> list[str]:
    """The identities whose name another one has too."""
    counts = Counter(names.values())
    return [identity for identity, name in names.items() if counts[name] > 1]


def _identity(group: Group) -> str:
    return json.dumps(list(group.items()), default=str)


def _full(group: Group) -> str:
    """The group with its values in full, and the last part of its keys."""
    return ", ".join(f"{key.rpartition('.')[2]} {_value(value)}" for key, value in group.items())


def _json(group: Group) -> str:
    return ", ".join(f"{key} {json.dumps(value, default=str)}" for key, value in group.items())


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
