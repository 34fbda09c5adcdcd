"""Which keys differ among runs, which of them follow from others, and what groups are called."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from workbench.analysis.curves import PROTOCOL, Curve
from workbench.recipe.objectives import foreign_keys
from workbench.recipe.plain_values import plain_word

SEEDS = ("training.seed", "data.seed")
"""Keys in which replicates of one configuration differ."""
UNIQUE = "data.unique_tokens"
CHANGE_NOTHING = frozenset(
    {
        "training.checkpoint_every",
        "training.checkpoint_points",
        "training.activation_checkpointing",
    }
)
"""Keys that change no number of a run: they distinguish no runs."""
ALWAYS_NAMED = (UNIQUE, "n_params")
"""Keys that every group is called by, whether they differ or not."""
_DEFAULTS_FROM_OTHERS = ("training.warmup_steps", "model.init_std", "model.base_width")


def identity(keys: dict[str, Any]) -> str:
    """Equal for equal keys and values, in whatever order.

    A key with the value None counts as missing: a run of a version that did not have the key yet
    is no different run.
    """
    known = {key: value for key, value in keys.items() if value is not None}
    return json.dumps(known, sort_keys=True, default=str)


def of_plugin_objective(key: str) -> bool:
    """Whether a key goes with a side's objective: the numbers of an objective's plug-in."""
    return key.startswith("plugins.objectives.")


def keys_called(asked: str, known: Iterable[str]) -> list[str]:
    """The known key that is asked for, or else all whose last part is: `lr` of `training.lr`."""
    names = sorted(set(known))
    if asked in names:
        return [asked]
    return [name for name in names if name.rpartition(".")[2] == asked]


def differing_keys(groups: list[dict[str, Any]]) -> list[str]:
    """The keys that differ between groups, beyond unique tokens and parameters."""
    keys = {key for group in groups for key in group}.difference(ALWAYS_NAMED, CHANGE_NOTHING)
    return sorted(key for key in keys if len({_text(group.get(key)) for group in groups}) > 1)


def following_keys(groups: list[dict[str, Any]], key: str) -> list[str]:
    """The keys whose value follows from that of `key` in all groups, and varies with it.

    Total tokens follow unique tokens in a study of equal epochs, width follows the number of
    parameters: such keys say no more than `key`, and do not split a trend along it. The protocol of
    an evaluation does whatever it follows.
    """
    given = _texts(groups, key)
    others = {name for group in groups for name in group}.difference({key, PROTOCOL})
    return sorted(other for other in others if _follow(_texts(groups, other), given))


def _follow(values: list[str], given: list[str]) -> bool:
    """Whether the values vary, and each follows from the given one beside it."""
    return len(set(values)) > 1 and len(set(zip(given, values, strict=True))) == len(set(given))


def _texts(groups: list[dict[str, Any]], key: str) -> list[str]:
    return [_text(group.get(key)) for group in groups]


def _text(value: Any) -> str:
    """Equal for equal values of one type, lists and tables too."""
    return _plain_text(value) if isinstance(value, str | int | float | None) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, default=str)


# A thousand runs have a hundred thousand values, nearly all of them equal.
_plain_text = lru_cache(maxsize=4096, typed=True)(_json)


def varying_keys(configurations: list[dict[str, Any]]) -> list[str]:
    """The keys that differ among configurations, seeds among them, sorted but for unique tokens
    and parameters, which come first.

    A key that some objectives do not have counts only if it differs among those that have it: a
    noise schedule distinguishes two diffusion runs, not diffusion from AR.
    """

    def differs(key: str) -> bool:
        having = {
            _text(keys.get(key))
            for keys in configurations
            if key not in foreign_keys(keys.get("training.objective"))
            and (key in keys or not of_plugin_objective(key))
        }
        return len(having) > 1

    named = [*ALWAYS_NAMED, *differing_keys(configurations)]
    return [key for key in named if differs(key)]


def distinguishing_keys(configurations: list[dict[str, Any]]) -> list[str]:
    """The keys that distinguish configurations: those that vary and follow from no other."""
    differing = varying_keys(configurations)
    distinguishing: list[str] = []
    # Keys whose defaults follow from other keys come last: the other keys name the difference.
    first = (*ALWAYS_NAMED, PROTOCOL)
    for key in sorted(
        differing,
        key=lambda k: (first.index(k) if k in first else len(first), k in _DEFAULTS_FROM_OTHERS, k),
    ):
        values = _texts(configurations, key)
        givens = [_texts(configurations, one) for one in distinguishing]
        if givens and key in _DEFAULTS_FROM_OTHERS:  # which may follow from several together
            givens.append([_json(together) for together in zip(*givens, strict=True)])
        followed = any(_follow(values, given) for given in givens)
        # A size is a name for a shape, whose keys stand beside it.
        if key not in ("training.objective", "model.size") and not followed:
            distinguishing.append(key)
    return distinguishing


def named_group(keys: dict[str, Any], differing: list[str], example: Curve) -> dict[str, Any]:
    """What a group is called in answers: always its unique tokens and parameters. An absent key
    whose plain value is a word has that word: `training.optimizer` is then adamw."""
    group = {
        "unique_tokens": example.keys.get(UNIQUE),
        "n_params": example.keys.get("n_params"),
    }
    own = {key: keys.get(key) for key in differing}
    return group | {k: plain_word(k) if value is None else value for k, value in own.items()}


def order_of(group: dict[str, Any]) -> tuple[Any, ...]:
    """Sorts groups by parameters, then by unique tokens, unknown ones first; then by their other
    keys: None first, then numbers, texts."""
    values = [group[key] for key in sorted(group)]
    return group["n_params"] or 0, group["unique_tokens"] or 0, [
        (-1, 0.0, "") if value is None
        else (0, float(value), "") if isinstance(value, int | float)
        else (1, 0.0, str(value))
        for value in values
    ]  # fmt: skip
