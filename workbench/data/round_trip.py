"""What does not come back from a tokenizer: text that its ids do not hold.

A tokenizer without a token for some letters drops them or puts one unknown token in their place;
others lower the case or join white space. The loss in bits per byte is then over bytes that no
model has seen. So a sample of every corpus is decoded again, and what is missing is counted.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from workbench.data.vocabulary import Tokenizer
from workbench.errors import InputError

REFUSED_SHARE = 0.1
_TEXTS, _CHARACTERS = 64, 2048  # of a batch of up to 8M characters: about a hundredth of its time
_ENOUGH = 20_000

Counts = dict[str, Any]


class RoundTrip:
    """A tokenizer that also decodes a sample of what it encodes, and counts what is missing."""

    def __init__(self, tokenizer: Tokenizer, name: str) -> None:
        self._tokenizer, self._name = tokenizer, name
        self.vocabulary, self.identity = tokenizer.vocabulary, tokenizer.identity
        self.reading = tokenizer.reading
        self.counts: Counts = {
            "texts": 0,
            "changed": 0,
            "characters": 0,
            "lost": 0,
            "lost_white": 0,
        }

    def encode(self, chunks: list[str]) -> list[NDArray[Any]]:
        """As the tokenizer's.

        Raises:
            InputError: more than a tenth of the letters sampled so far does not come back.
        """
        sample = chunks[:: max(len(chunks) // _TEXTS, 1)][:_TEXTS]
        self._look([text[:_CHARACTERS] for text in sample])
        if self.counts["characters"] >= _ENOUGH:
            self.check()
        return self._tokenizer.encode(chunks)

    def decode(self, ids: Iterable[int]) -> str:
        return self._tokenizer.decode(ids)

    def save(self, folder: Path) -> None:
        self._tokenizer.save(folder)

    def _look(self, texts: list[str]) -> None:
        counts = self.counts
        for text, ids in zip(texts, self._tokenizer.encode(texts), strict=True):
            counts["texts"] += 1
            counts["characters"] += len(text)
            back = self._tokenizer.decode(ids)
            if back == text:
                continue
            counts["changed"] += 1
            for letter, number in (Counter(text) - Counter(back)).items():
                counts["lost_white" if letter.isspace() else "lost"] += number
                if not letter.isspace():
                    counts.setdefault("example", letter)

    def check(self) -> None:
        """Refuse a tokenizer that does not hold the text.

        Raises:
            InputError: more than a tenth of the letters of the sample does not come back.
        """
        if self.counts["lost"] > REFUSED_SHARE * self.counts["characters"]:
            raise InputError(
                f'data.tokenizer = "{self._name}": {_lost(self.counts)}. It is not made for '
                "this text: losses would be of other text than the corpus. Take one with a token "
                "for every byte (`workbench tokenizer train` makes one)."
            )


def note_of(counts: Counts, name: str) -> str | None:
    """A sentence about what does not come back; None where all of it does."""
    if not counts.get("lost") and not counts.get("lost_white"):
        return None
    return (
        f'data.tokenizer = "{name}": {_lost(counts)}. Bits per byte count their bytes all the same.'
    )


def _lost(counts: Counts) -> str:
    kinds = []
    if counts["lost"]:
        kinds.append(f"{counts['lost']:,} letters, such as {counts['example']!r},")
    if counts["lost_white"]:
        kinds.append(f"{counts['lost_white']:,} spaces and line ends")
    return (
        f"of a sample of {counts['characters']:,} characters, {' and '.join(kinds)} do not come "
        "back from its ids"
    )
