"""What a run's `config.json` and `provenance.json` may hold, whoever wrote them."""

import math
import re
from pathlib import Path, PurePosixPath
from typing import Any

from workbench.errors import InputError

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_plain_id(run_id: object) -> bool:
    """Whether a text can be a run's id: it names a folder, and leads to no other place."""
    return isinstance(run_id, str) and _PLAIN.fullmatch(run_id) is not None


def checked_document(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """The document, whose parts are of the right kinds. Asked for a key that it lacks, it and its
    parts raise an InputError.

    Raises:
        InputError: names the file and the key.
    """
    _Checker(path).check(document)
    return _Part.of(document, path, "")


def checked_provenance(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """The document, of which what is read again is of the right kinds.

    Raises:
        InputError: names the file and the key.
    """
    check = _Checker(path)
    for name, kind in (("trained_on", list), ("plugins", list), ("started_as", dict)):
        check.expect(name, document.get(name, kind()), kind, "a list or a table")
    for name in ("trained_on", "plugins"):
        for one in document.get(name, []):
            check.expect(name, one, dict, "a list of tables")
    for one in document.get("trained_on", []):
        for key in ("device", "dtype"):
            check.expect(f"trained_on.{key}", one.get(key), str, "a text")
    if "started_as" in document:
        _check_start(document["started_as"], check)
    return document


def _check_start(start: dict[str, Any], check: "_Checker") -> None:
    for key, kind in (("device", str), ("dtype", str), ("compile", bool)):
        check.expect(f"started_as.{key}", start.get(key), kind, "what a run is started as")
    check.expect("started_as.why_eager", start.get("why_eager"), str | None, "a text")
    if unknown := start.keys() - {"device", "dtype", "compile", "why_eager"}:
        check.refuse("started_as", sorted(unknown), "what a run is started as")


_DESCRIPTIONS = frozenset({"quality", "mixture", "anneal"})
"""What `derived` says of the text for people; no command reads it again."""


class _Part(dict[str, Any]):
    """A JSON object that names its file when a key is missing."""

    def __init__(self, values: dict[str, Any], path: Path, place: str) -> None:
        super().__init__(values)
        self._path, self._place = path, place

    @classmethod
    def of(cls, values: dict[str, Any], path: Path, place: str) -> "_Part":
        inner = {
            key: cls.of(value, path, f"{place}{key}.") if isinstance(value, dict) else value
            for key, value in values.items()
        }
        return cls(inner, path, place)

    def __missing__(self, key: str) -> Any:
        raise InputError(f"{self._path}: {self._place}{key} is missing.")

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class _Checker:
    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, document: dict[str, Any]) -> None:
        for name in ("config", "data", "derived"):
            self.expect(name, document.get(name, {}), dict, "a table")
        config, data = document.get("config", {}), document.get("data", {})
        for name in ("data", "model", "training", "evaluation", "parallelism", "labels"):
            self.expect(f"config.{name}", config.get(name, {}), dict, "a table")
        self._folder("data", data)
        self.expect("data.validation_extra", data.get("validation_extra", {}), dict, "a table")
        for name, one in data.get("validation_extra", {}).items():
            self.expect(f"data.validation_extra.{name}", one, dict, "a table")
            self._folder(f"data.validation_extra.{name}", one)
        for name, value in document.get("derived", {}).items():
            if name not in _DESCRIPTIONS and value is not None and not _is_number(value):
                self.refuse(f"derived.{name}", value, "a number")
        for name in ("run_id", "parent"):
            if document.get(name) is not None and not is_plain_id(document[name]):
                self.refuse(name, document[name], "the id of a run")
        if not 0 <= self._whole(document.get("protocol", 1)) < 2**31:
            self.refuse("protocol", document["protocol"], "a small number")

    def _folder(self, name: str, part: dict[str, Any]) -> None:
        fingerprint, folder = part.get("fingerprint"), part.get("folder", "data")
        self.expect(f"{name}.fingerprint", fingerprint, str | None, "a text")
        self.expect(f"{name}.folder", folder, str, "a path")
        place = PurePosixPath(folder)
        if place.is_absolute() or ".." in place.parts or "\0" in folder:
            self.refuse(f"{name}.folder", folder, "a path inside the results folder")

    def _whole(self, value: object) -> int:
        return value if type(value) is int else -1

    def expect(self, name: str, value: object, kind: Any, words: str) -> None:
        if not isinstance(value, kind):
            self.refuse(name, value, words)

    def refuse(self, name: str, value: object, words: str) -> None:
        raise InputError(f"{self.path}: {name} is {value!r:.80}, expected {words}.")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)
