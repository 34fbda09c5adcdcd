"""Plug-ins: objectives, laws, corpora, tasks and samplers that other installed packages add.

A package names what it adds in its metadata, as entry points of these groups:

    workbench.objectives   workbench.laws   workbench.corpora   workbench.tasks   workbench.samplers

An entry point `NAME = "package.module:OBJECT"` leads to a declaration, an object of one of the
classes below. Its module is imported when a recipe or a command uses the name, and not before:
which names there are is read from the packages' metadata. The declaration in turn says where the
code is, which may import torch, and is imported only to be run.
"""

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from importlib import metadata
from typing import Any, Generic, TypeVar

from workbench.errors import InputError, WorkbenchError

KINDS = {
    "objectives": "objective",
    "laws": "law",
    "corpora": "corpus",
    "tasks": "task",
    "samplers": "sampler",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A declaration: what the workbench must know of a plug-in before its code runs."""

    numbers: int
    """From 1 up. Raise it whenever the plug-in gives other numbers than before: it is part of the
    id of every run that uses the plug-in."""
    code: str
    """Where the code is: "package.module:NAME"."""

    def __post_init__(self) -> None:
        if type(self.numbers) is not int or self.numbers < 1:
            raise ValueError(f"numbers = {self.numbers!r}: expected a whole number from 1 up.")
        if not (isinstance(self.code, str) and re.fullmatch(r"[\w.]+:\w+", self.code)):
            raise ValueError(f'code = {self.code!r}: expected "package.module:NAME".')


class LawPlugin(Plugin):
    """A scaling law. The code is a `laws.law.Law` or `Procedure` of the entry point's name."""


class CorpusPlugin(Plugin):
    """A corpus: `data.corpus = "NAME"` or `"NAME:ARGUMENT"`.

    The code is a function of (argument, document=, text_key=, quality_key=) that returns a
    `data.corpora.Corpus`. The argument is "" where the recipe gives none.
    """


@dataclass(frozen=True, kw_only=True)
class TaskPlugin(Plugin):
    """An evaluation task. The code is a function of `evaluation.tasks.TaskInputs` that returns an
    `evaluation.tasks.Task`. `task_questions` and `task_draws` of `[evaluation]` are for it too."""

    files: tuple[str, ...] = ()
    """Names of the files that `evaluation.task_files` gives it, the needed one first."""
    shots: bool = False
    """Whether it reads `evaluation.shots`."""


@dataclass(frozen=True, kw_only=True)
class SamplerPlugin(Plugin):
    """A sampler. The code is a `generation.settings.Fill` function; the fields are those of
    `generation.samplers.Sampler`."""

    objectives: tuple[str, ...]
    reads: tuple[str, ...] = ()
    one_by_one: bool = False


P = TypeVar("P", bound=Plugin)
T = TypeVar("T")


@dataclass(frozen=True)
class Installed:
    """One entry point, and the package that has it. Nothing of it is imported yet."""

    kind: str
    name: str
    value: str
    package: str
    version: str

    def __str__(self) -> str:
        return (
            f"package {self.package} {self.version}, entry point workbench.{self.kind}: "
            f'{self.name} = "{self.value}"'
        )

    def declaration(self, expected: type[P]) -> P:
        """Raises:
        InputError: its module cannot be imported, or it is no declaration of its kind.
        """
        found = self._imported(self.value)
        if not isinstance(found, expected):
            raise InputError(
                f"the {KINDS[self.kind]} {self.name} ({self}) cannot be used: expected a "
                f"{expected.__name__}, not a {type(found).__name__}. Its package must mend that."
            )
        return found

    def origin(self) -> dict[str, Any]:
        """Where it came from, as provenance keeps it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "numbers": self.declaration(Plugin).numbers,
            "package": self.package,
            "version": self.version,
            "entry_point": self.value,
        }

    def code(self) -> Any:
        """What the declaration's `code` names.

        Raises:
            InputError: its module cannot be imported.
        """
        return self._imported(self.declaration(Plugin).code)

    def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call the plug-in's code.

        Raises:
            InputError: it failed, in whatever way.
        """
        try:
            return function(*arguments, **named)
        except WorkbenchError:
            raise
        except Exception as error:
            raise InputError(
                f"the {KINDS[self.kind]} {self.name} ({self}) failed: {_reason(error)}. "
                "`workbench --debug ...` shows where."
            ) from error

    def _imported(self, place: str) -> Any:
        module, _, name = place.partition("[")[0].strip().partition(":")
        try:
            return reduce(getattr, name.split("."), importlib.import_module(module))
        except (Exception, SystemExit) as error:
            raise InputError(
                f"the {KINDS[self.kind]} {self.name} ({self}) cannot be imported: {place}: "
                f"{_reason(error)}. Mend or remove the package, or use another {KINDS[self.kind]}."
            ) from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).rstrip('.')}"


class Plugins(Generic[P]):
    """The plug-ins of one kind."""

    def __init__(self, kind: str, expected: type[P], *, built_in: tuple[str, ...]) -> None:
        """Args:
        built_in: names that no plug-in can have.
        """
        self.kind = kind
        self.expected = expected
        self._built_in = built_in

    def names(self) -> list[str]:
        """Every name that a plug-in adds, those that cannot be used included. Imports nothing."""
        return [name for name in _installed(tuple(sys.path))[self.kind] if not self._taken(name)]

    def _taken(self, name: str) -> bool:
        return name in self._built_in

    def find(self, name: str) -> Installed | None:
        """The plug-in of a name, not yet imported, or None where no plug-in has it.

        Raises:
            InputError: two have it, or it is the name of something built in.
        """
        found = _installed(tuple(sys.path))[self.kind].get(name, ())
        if not found:
            return None
        noun = KINDS[self.kind]
        if not _NAME.fullmatch(name):
            raise InputError(
                f"the {noun} {name} ({found[0]}) cannot be used: a name is letters, digits, '_' "
                "and '-'. Its package must rename it."
            )
        owners = ["the workbench itself"] if self._taken(name) else []
        owners += [str(one) for one in found]
        if len(owners) > 1:
            raise InputError(
                f"the {noun} {name} is there {len(owners)} times: {'; '.join(owners)}. Remove "
                "packages until one is left, or rename one."
            )
        return found[0]

    def declaration(self, name: str) -> P | None:
        """The declaration of a plug-in, or None where no plug-in has this name.

        Raises:
            InputError: as `find`, or its module cannot be imported.
        """
        found = self.find(name)
        return found.declaration(self.expected) if found else None

    def usable_names(self) -> list[str]:
        """The names of plug-ins that can be used. Imports all declarations of this kind."""
        problems = self.problems()
        return [name for name in self.names() if name not in problems]

    def problems(self) -> dict[str, str]:
        """Why plug-ins cannot be used, by name. Imports all declarations of this kind."""
        found = {}
        for name in _installed(tuple(sys.path))[self.kind]:
            try:
                self.declaration(name)
            except InputError as error:
                found[name] = str(error)
        return found


class Registry(Mapping[str, T], Generic[T, P]):
    """What is built in, and then what plug-ins add, by name.

    Iteration gives all names and imports nothing; `registry[name]` imports a plug-in's code.
    """

    def __init__(
        self,
        built_in: Mapping[str, T],
        plugins: Plugins[P],
        make: Callable[[Installed, P], T],
    ) -> None:
        """Args:
        make: from a plug-in and its declaration to what the registry gives.
        """
        self._built_in = built_in
        self._plugins = plugins
        self._make = make

    def __getitem__(self, name: str) -> T:
        """Raises:
        KeyError: there is none of this name.
        InputError: the plug-in of this name cannot be used.
        """
        plugin = self._plugins.find(name)
        if plugin is None:
            return self._built_in[name]
        return self._make(plugin, plugin.declaration(self._plugins.expected))

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._plugins.names()

    def __iter__(self) -> Iterator[str]:
        yield from self._built_in
        yield from self._plugins.names()

    def __len__(self) -> int:
        return len(list(iter(self)))

    def usable(self) -> dict[str, T]:
        """What is built in, and the plug-ins that can be used, whose code is imported."""
        found = dict(self._built_in)
        for name in self._plugins.names():
            try:
                found[name] = self[name]
            except InputError:
                continue
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """As if plug-ins that cannot be used were not there."""
        try:
            return self[name]
        except (KeyError, InputError):
            return self._built_in.get(name, default)


@lru_cache(maxsize=8)
def _installed(path: tuple[str, ...]) -> dict[str, dict[str, tuple[Installed, ...]]]:
    """Entry points by kind and name.

    Args:
        path: `sys.path`, where packages are looked for.
    """
    found: dict[str, dict[str, tuple[Installed, ...]]] = {kind: {} for kind in KINDS}
    packages: set[str] = set()
    for distribution in metadata.distributions(path=list(path)):
        # Most packages have no such group, and one with damaged metadata harms no other.
        try:
            if "[workbench." not in (distribution.read_text("entry_points.txt") or ""):
                continue
            package, entries = distribution.metadata["Name"], distribution.entry_points
        except Exception:
            continue
        if package in packages:
            continue  # hidden by the same package earlier on the path, as in an import
        packages.add(package)
        for entry in entries:
            kind = entry.group.removeprefix("workbench.")
            if entry.group.startswith("workbench.") and kind in KINDS:
                one = Installed(kind, entry.name, entry.value, package, distribution.version)
                found[kind][entry.name] = (*found[kind].get(entry.name, ()), one)
    return {kind: dict(sorted(names.items())) for kind, names in found.items()}
