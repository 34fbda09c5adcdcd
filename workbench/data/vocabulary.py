"""What every tokenizer has: a vocabulary, and the way from text to ids and back."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from workbench.recipe.sizes import padded_vocab

END_OF_DOCUMENT = "<|endoftext|>"
MASK, BOS = "<|mask|>", "<|bos|>"
"""As exported tokenizers call them. No text is read as one."""


@dataclass(frozen=True)
class Vocabulary:
    """Ids: text tokens first, then MASK and BOS, then padding; only the first `n_tokens` are ever
    predicted."""

    n_tokens: int
    size: int
    mask_id: int
    bos_id: int
    eod_id: int
    """Ends each document. It is predicted like any other token, and no text has it."""

    @classmethod
    def of(cls, n_tokens: int, eod_id: int | None = None) -> "Vocabulary":
        """The vocabulary of a tokenizer whose ids are below `n_tokens`; where none of them ends
        documents, one more does."""
        if eod_id is None:
            eod_id, n_tokens = n_tokens, n_tokens + 1
        return cls(n_tokens, padded_vocab(n_tokens + 2), n_tokens, n_tokens + 1, eod_id)


class Tokenizer(Protocol):
    """Text in pieces to token ids in pieces."""

    vocabulary: Vocabulary
    identity: str
    """Differs between tokenizers that give different ids: part of the data's fingerprint."""
    reading: str
    """The identity, and how its file is read: what prepared data are found by. A file that is read
    in another way than before is prepared anew; where that gives the same ids, the fingerprint and
    the ids of runs stay."""

    def encode(self, chunks: list[str]) -> list[NDArray[Any]]:
        """One array of ids a piece of text."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; special ids are left out."""
        ...

    def save(self, folder: Path) -> None:
        """Write the tokenizer as files beside exported weights."""
        ...
