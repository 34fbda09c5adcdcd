"""Tokenizers: bytes, a `tokenizer.json`, and the training of one."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.recipe.sizes import padded_vocab
from workbench.runs.files import replacing

END_OF_DOCUMENT = "<|endoftext|>"


@dataclass(frozen=True)
class Vocabulary:
    """Ids: text tokens first, then MASK and BOS, then padding; only the first `n_tokens` are ever
    predicted."""

    n_tokens: int
    size: int
    mask_id: int
    bos_id: int
    eod_id: int
    """Ends each document. It is text like any other token, and is predicted."""

    @classmethod
    def of(cls, n_tokens: int, eod_id: int) -> "Vocabulary":
        return cls(n_tokens, padded_vocab(n_tokens + 2), n_tokens, n_tokens + 1, eod_id)


class Tokenizer(Protocol):
    """Text in pieces to token ids in pieces."""

    vocabulary: Vocabulary
    identity: str
    """Differs between tokenizers that give different ids."""

    def encode(self, chunks: list[str]) -> list[NDArray[Any]]:
        """One array of ids a piece of text."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; special ids are left out."""
        ...


class ByteTokenizer:
    """UTF-8 bytes. Byte 0 does not occur in text, and ends documents."""

    vocabulary = Vocabulary.of(256, eod_id=0)
    identity = "bytes"

    def encode(self, chunks: list[str]) -> list[NDArray[Any]]:
        return [np.frombuffer(chunk.encode(), dtype=np.uint8) for chunk in chunks]

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(i for i in ids if 0 < i < 256).decode(errors="replace")


class JsonTokenizer:
    """A tokenizer of the `tokenizers` library, from its `tokenizer.json`."""

    def __init__(self, path: Path) -> None:
        """Load a `tokenizer.json`.

        Raises:
            InputError: the file is missing or is not a tokenizer.
        """
        from tokenizers import Tokenizer as Library

        try:
            content = path.read_bytes()
            self._library = Library.from_str(content.decode())
        except OSError as error:
            raise InputError(f"tokenizer {path}: cannot be read: {error.strerror}.") from None
        except Exception as error:
            raise InputError(f"tokenizer {path}: not a tokenizer.json ({error}).") from None
        n_tokens = self._library.get_vocab_size(with_added_tokens=True)
        eod_id = self._library.token_to_id(END_OF_DOCUMENT)
        if eod_id is None:  # one more id of ours, after the file's own
            eod_id, n_tokens = n_tokens, n_tokens + 1
        self.vocabulary = Vocabulary.of(n_tokens, eod_id)
        self.identity = hashlib.sha256(content).hexdigest()

    def encode(self, chunks: list[str]) -> list[NDArray[Any]]:
        encoded = self._library.encode_batch_fast(chunks, add_special_tokens=False)
        return [np.asarray(encoding.ids, dtype=np.uint32) for encoding in encoded]

    def decode(self, ids: Iterable[int]) -> str:
        size = self._library.get_vocab_size(with_added_tokens=True)
        return str(self._library.decode([int(i) for i in ids if i < size]))


def load_tokenizer(spec: str) -> Tokenizer:
    """Load the tokenizer of `[data] tokenizer`: `bytes`, or the path of a `tokenizer.json`."""
    return ByteTokenizer() if spec == "bytes" else JsonTokenizer(Path(spec))


def vocabulary_of(spec: str) -> Vocabulary | None:
    """The vocabulary of `[data] tokenizer`, or None where its file is not here."""
    if spec != "bytes" and not Path(spec).exists():
        return None
    return load_tokenizer(spec).vocabulary


def train_bpe(texts: Iterator[str], vocab_size: int, out: Path) -> int:
    """Train byte-level BPE, write a `tokenizer.json` and return its number of tokens.

    Args:
        texts: pieces of training text.
        vocab_size: tokens to end with, the 256 bytes and the end-of-document token counted.

    Raises:
        InputError: the size cannot hold the bytes, or the file cannot be written.
    """
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers, trainers

    if vocab_size < 257:
        raise InputError(f"vocab size {vocab_size}: byte-level BPE needs at least 257.")
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer=trainer)
    document = json.loads(library.to_str())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(document, ensure_ascii=False))
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}.") from None
    return library.get_vocab_size(with_added_tokens=True)
