"""What a corpus gives, for tests of its readers."""

from pathlib import Path
from typing import Any

from workbench.data.corpora import counts_of, open_corpus
from workbench.data.reading import Counts

FILES = Path(__file__).parent / "files"
"""Small files as people have them, each folder of one kind."""


def texts_of(corpus: Path | str, **keys: Any) -> list[str]:
    """The documents' texts."""
    return read(corpus, **keys)[0]


def read(corpus: Path | str, **keys: Any) -> tuple[list[str], Counts]:
    """The documents' texts, and what was met on the way."""
    opened = open_corpus(str(corpus), **{"document": "line", "text_key": "text", **keys})
    texts, begun = [], ""
    for piece in opened.pieces():
        begun += piece.text
        if piece.last:
            texts.append(begun)
            begun = ""
    assert not begun, "the last document ends"
    return texts, counts_of(opened)
