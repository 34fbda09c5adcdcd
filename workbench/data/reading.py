"""How a corpus's files are read: a row's text and score, and counts of what was met on the way."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.recipe.text_fields import template

Where = Callable[[], str]
REPLACEMENT = "\ufffd"


class Piece(NamedTuple):
    """Some text of a document, whether it is the document's last, and the document's score."""

    text: str
    last: bool
    score: float | None = None
    ids: "NDArray[Any] | None" = None
    """Token ids in place of text, where a corpus is tokens already."""
    bucket: str | None = None
    """The name of the document's quality bucket, where one is asked for."""


@dataclass
class Counts:
    """What was met while a corpus was read. Zero until then, but for the files passed over."""

    left_out: "Counter[str]" = field(default_factory=Counter)
    """Rows without text, by why: null or empty."""
    replaced: int = 0
    """Documents with U+FFFD, under data.encoding_errors = "replace"."""
    passed_over: "Counter[str]" = field(default_factory=Counter)
    """Files of a folder that are not read, by ending; or "hidden"."""

    def document(self) -> dict[str, Any]:
        """The counts as a JSON object, without what is zero."""
        counts = {
            "left_out": dict(self.left_out),
            "replaced": self.replaced,
            "passed_over": dict(self.passed_over),
        }
        return {name: value for name, value in counts.items() if value}


def reading_notes(read: list[dict[str, Any]]) -> list[str]:
    """Sentences on what was left out of corpora. The objects are those of `PreparedData.seen`."""
    notes = []
    for one in read:
        corpus = one["corpus"]
        for why, count in one.get("left_out", {}).items():
            rows = "1 row is left out: its" if count == 1 else f"{count:,} rows are left out: their"
            notes.append(f"{corpus}: {rows} text is {why}.")
        if one.get("replaced"):
            notes.append(
                f"{corpus}: {one['replaced']:,} documents have U+FFFD for what is no text."
            )
        if one.get("passed_over"):
            kinds = sorted(one["passed_over"].items(), key=lambda kind: -kind[1])
            named = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
            listed = any(kind.startswith(".") for kind, _ in kinds)
            which = " data.suffixes says which to read." * listed
            notes.append(f"{corpus}: passed over: {named}.{which}")
    return notes


@dataclass(frozen=True)
class Reading:
    """How the documents of files are found."""

    document: str = "file"
    """What one document of a text file is: file, line or blank-line."""
    text_key: str = "text"
    """The text's field, or a template of several."""
    quality_key: str | None = None
    """The field of the score that each piece shall carry."""
    bucket_key: str | None = None
    """The field of the bucket's name that each piece shall carry."""
    errors: str = "strict"
    """What becomes of bytes and characters that are no text: refused, or U+FFFD by "replace"."""
    counts: Counts = field(default_factory=Counts)


class Rows:
    """Documents of rows: of JSON objects and of tables alike."""

    def __init__(self, how: Reading) -> None:
        """Raises:
        InputError: the template of text_key is not one.
        """
        self.how = how
        self.fields, self.joined = template(how.text_key)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The fields that a table must have, each with the key of `[data]` that names it."""
        named = [(self.how.quality_key, "quality_key"), (self.how.bucket_key, "quality_bucket")]
        texts = [(name, "text_key") for name in self.fields]
        return texts + [(name, key) for name, key in named if name is not None]

    def piece(self, row: Mapping[str, Any], where: Where) -> Piece | None:
        """A row's document, or None where its text is null or empty, which is counted.

        Raises:
            InputError: a field is missing or no text, or the score is no number.
        """
        values = []
        for name in self.fields:
            value = row.get(name)
            if value is None and name in row:
                self.how.counts.left_out["null"] += 1
                return None
            if not isinstance(value, str):
                raise self._no_text(name, row, where())
            values.append(value)
        if not any(values):
            self.how.counts.left_out["empty"] += 1
            return None
        text = values[0] if self.joined is None else self.joined(values)
        score = score_of(row, self.how.quality_key, where)
        return Piece(text, True, score, bucket=bucket_of(row, self.how.bucket_key, where))

    def without_surrogates(self, piece: Piece, where: Where) -> Piece:
        """The piece with each half of a surrogate pair replaced.

        Raises:
            InputError: it has one, and errors are not to be replaced.
        """
        try:
            piece.text.encode()
        except UnicodeEncodeError as error:
            if self.how.errors == "strict":
                raise half_pair(where(), error) from None
            text = piece.text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            return piece._replace(text=text)
        return piece

    def _no_text(self, name: str, row: Mapping[str, Any], where: str) -> InputError:
        if name in row:
            kind = type(row[name])
            found = f'"{name}" is no text but {_KINDS.get(kind, kind.__name__)}'
        else:
            found = f'no text "{name}" (it has: {", ".join(row)})'
        return InputError(f"data.corpus: {where}: {found}. Set data.text_key.")


_KINDS = {
    dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number",
}  # fmt: skip


def half_pair(where: str, error: UnicodeEncodeError) -> InputError:
    """The error for half of a surrogate pair: mostly an emoji that was cut in two."""
    return InputError(
        f"data.corpus: {where}: half of a surrogate pair "
        f"(\\u{ord(error.object[error.start]):04x}), which is no character: text that was cut "
        "within an emoji. Mend it, or read it as U+FFFD by "
        'data.encoding_errors = "replace".'
    )


def score_of(row: Mapping[str, Any], key: str | None, where: Where) -> float | None:
    """A row's score.

    Raises:
        InputError: the row has none, or it is no finite number.
    """
    if key is None:
        return None
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        instead = f"it is {value!r}" if key in row else f"its keys are {', '.join(row)}"
        raise InputError(
            f'data.corpus: {where()}: no number "{key}" ({instead}). Every document needs a score: '
            "set data.quality_key, or leave documents without one out of the corpus."
        )
    return float(value)


def bucket_of(row: Mapping[str, Any], key: str | None, where: Where) -> str | None:
    """The name of a row's bucket; a whole number is one too.

    Raises:
        InputError: the row has none.
    """
    if key is None:
        return None
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        instead = f"it is {value!r}" if key in row else f"its keys are {', '.join(row)}"
        raise InputError(
            f'data.corpus: {where()}: no name "{key}" ({instead}). Every document needs a bucket: '
            "set data.quality_bucket, or data.quality_key where documents have scores."
        )
    return str(value)
