"""Which numbers are put side by side: those that agree in all that decides what a number means."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.analysis.run_keys import UNIQUE, identity
from workbench.messages import pretty
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import keys_of_some_objectives
from workbench.report.board.runs import Run
from workbench.store.publish import without_folders

ALIKE = (
    "Numbers stand side by side where the recipe's keys, the metric, what counts as a crossover, "
    "the evaluation protocol and the prepared tokens agree; the others say in what they differ."
)
"""What a board puts side by side, for its readers."""
OBJECTIVE = "training.objective"
FINGERPRINT = "data_fingerprint"
_FIRST = ("metric", "protocol", FINGERPRINT, "definition", OBJECTIVE)
_OF_QUESTIONS = re.compile(r"evaluation\.(tasks|cloze_|shots|task_|memorisation)")
"""Keys of what is asked of a model beside its held-out loss, which they do not change."""
_MOST = 6
"""Differing keys that are named; of more, how many is said."""


@dataclass(frozen=True)
class Number:
    """One number of the board, with all that it was made from."""

    export: str
    study: str
    what: str
    """In words, such as "crossover by val_loss"."""
    question: tuple[str, ...]
    """Numbers of different questions are never put side by side."""
    terms: dict[str, Any]
    """What has to agree with another number for the two to be side by side."""
    rows: dict[str, dict[str, Any]]
    """The answers as the analysis gives them: of a crossover one an axis, else "best"."""
    runs: dict[str, tuple[str, ...]]
    """Ids, by the side of the comparison; by "" where there are no sides."""
    seeds: int
    by_author: frozenset[str] = frozenset()
    """The axes along which the answer is that of the export, and not worked out here."""

    @property
    def every_run(self) -> frozenset[str]:
        return frozenset(run for ids in self.runs.values() for run in ids)


def terms_of(asked: Mapping[str, Any], sides: Mapping[str, Iterable[Run]]) -> dict[str, Any]:
    """What a number is of: what was asked, the protocol, the tokens, and every key of its runs.

    Tokens that are not known, as of imported runs, are like those of the same runs alone.

    Args:
        sides: runs by their side; those of a side differ in nothing but their seeds.
    """
    first = {name: next(iter(runs)) for name, runs in sides.items()}
    every = [run for runs in sides.values() for run in runs]
    terms = dict(asked)
    terms["protocol"] = _one([run.protocol for run in every])
    prints = {run.fingerprint for run in every}
    unknown = f"not known, of runs {', '.join(sorted(run.run_id for run in every))}"
    terms[FINGERPRINT] = unknown if None in prints else _one(sorted(map(str, prints)))
    every_key = {key for run in first.values() for key in run.keys}
    if not higher_is_better(str(asked["metric"])):
        every_key = {key for key in every_key if not _OF_QUESTIONS.match(key)}
    for key in sorted(every_key):
        values = {name: run.keys.get(key) for name, run in first.items()}
        if len({identity({"": value}) for value in values.values()}) == 1:
            terms[key] = next(iter(values.values()))
        else:
            terms |= {f"{name}.{key}": value for name, value in values.items()}
    return terms


def _one(values: list[Any]) -> Any:
    """The value that all have, else all of them."""
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else different


def side_by_side(numbers: Iterable[Number]) -> list[list[Number]]:
    """The numbers in groups that agree in question and terms."""
    groups: dict[str, list[Number]] = {}
    for number in numbers:
        name = identity({"question": number.question, **number.terms})
        groups.setdefault(name, []).append(number)
    return list(groups.values())


def differing(one: Number, other: Number) -> list[str]:
    """The terms in which two numbers differ, the most telling first.

    Where the objectives differ, keys that only some objectives have follow from that.
    """
    keys = {
        key
        for key in {**one.terms, **other.terms}
        if identity({"": one.terms.get(key)}) != identity({"": other.terms.get(key)})
    }
    if OBJECTIVE in keys:
        keys -= keys_of_some_objectives()
    return sorted(keys, key=lambda key: (_FIRST.index(key) if key in _FIRST else 9, key))


def nearest(number: Number, others: Iterable[Number]) -> tuple[Number, list[str]] | None:
    """The number of another export to the same question that differs in the fewest terms."""
    found = [
        (other, differing(number, other))
        for other in others
        if other.export != number.export and other.question == number.question
    ]
    # Of several that are as near, one at the same unique tokens.
    return min(found, key=lambda pair: (len(pair[1]), UNIQUE in pair[1])) if found else None


def differences_text(one: Number, other: Number, keys: list[str]) -> str:
    """The values of both numbers where they differ: "training.lr 0.003 / 0.001"."""
    named = [
        f"{_name(key)} {_value(key, one.terms.get(key))} / {_value(key, other.terms.get(key))}"
        for key in keys[:_MOST]
    ]
    return "; ".join(named) + (f"; and {len(keys) - _MOST} more" if len(keys) > _MOST else "")


def _name(key: str) -> str:
    names = {FINGERPRINT: "prepared tokens", UNIQUE: "unique tokens", "n_params": "parameters"}
    return names.get(key, key)


def _value(key: str, value: Any) -> str:
    if value is None:
        return "none"
    return str(value)[:24] if key == FINGERPRINT else without_folders(pretty(value))
