"""Tokenizers: bytes, those of files, and the training of one."""

import json
import stat
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.data.foreign_tokenizers import PATTERNS, SentencePieceTokenizer, TiktokenTokenizer
from workbench.data.json_tokenizer import JsonTokenizer
from workbench.data.tokenizer_files import MissingTokenizer, format_of, tokenizer_file
from workbench.data.vocabulary import BOS, END_OF_DOCUMENT, MASK, Tokenizer, Vocabulary
from workbench.errors import InputError
from workbench.runs.files import replacing

__all__ = ["ByteTokenizer", "MissingTokenizer", "Tokenizer", "Vocabulary", "load_tokenizer"]

_LARGEST = 512 * 2**20
"""Bytes; the largest that are published have 33 MiB."""
_SUBSTITUTE = b"\x1a"
"""ASCII's own character for one that cannot be shown."""


class ByteTokenizer:
    """UTF-8 bytes. Byte 0 ends documents; where a text has one, it is read as a substitute."""

    vocabulary = Vocabulary.of(256, eod_id=0)
    identity = reading = "bytes"

    def encode(self, chunks: list[str]) -> list[NDArray[Any]]:
        texts = (chunk.encode().replace(b"\0", _SUBSTITUTE) for chunk in chunks)
        return [np.frombuffer(text, dtype=np.uint8) for text in texts]

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(i for i in ids if 0 < i < 256).decode(errors="replace")

    def save(self, folder: Path) -> None:
        """Write a `tokenizer.json` that gives the same ids: byte-level BPE without merges."""
        from tokenizers import Tokenizer as Library
        from tokenizers import decoders, models, normalizers, pre_tokenizers

        ids = self.vocabulary
        letters = ByteTokenizer._letters()
        letters[0] = END_OF_DOCUMENT  # byte 0 is in no text
        library = Library(
            models.BPE({letter: i for i, letter in enumerate([*letters, MASK, BOS])}, [])
        )
        assert (library.token_to_id(MASK), library.token_to_id(BOS)) == (ids.mask_id, ids.bos_id)
        library.normalizer = normalizers.Replace("\0", _SUBSTITUTE.decode())
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        library.decoder = decoders.ByteLevel()
        (folder / "tokenizer.json").write_text(library.to_str(pretty=True))

    @staticmethod
    def _letters() -> list[str]:
        """The letter that stands for each byte in byte-level vocabularies: itself where it can be
        shown, and the others in their order from U+0100 on."""
        shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
        others = iter(range(0x100, 0x200))
        return [chr(byte if byte in shown else next(others)) for byte in range(256)]


def load_tokenizer(spec: str) -> Tokenizer:
    """Load the tokenizer of `data.tokenizer`: `bytes`, a file or model folder, `hf:org/name`, or
    `tiktoken:NAME`, also with the path of its ranks behind it.

    Raises:
        MissingTokenizer: its file is not here.
        InputError: it cannot be read, or needs a library that is not installed.
    """
    if spec == "bytes":
        return ByteTokenizer()
    kind, _, rest = spec.partition(":")
    if kind == "tiktoken":
        name, _, place = rest.partition(":")
        path = tokenizer_file(place) if place else None
        return _opened(name, path, _stamp(path))
    path = tokenizer_file(spec)
    return _opened(None, path, _stamp(path))


def load_same_tokenizer(spec: str, identity: str, whose: str) -> Tokenizer:
    """Load the tokenizer that made a run's shards.

    Args:
        identity: the tokenizer's, as the manifest of the shards has it.
        whose: the run, in words, for messages.

    Raises:
        InputError: as `load_tokenizer`, or its ids are others by now.
    """
    tokenizer = load_tokenizer(spec)
    if tokenizer.identity != identity:
        raise InputError(
            f"data.tokenizer {spec}: its ids are others than {whose} was trained with: the file "
            "has changed, or had gaps in its ids. Put the old file back, or train anew."
        )
    return tokenizer


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes with a file's content.

    Raises:
        InputError: it is missing, no file (a FIFO would be waited for), or larger than any is.
    """
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"tokenizer {path}: cannot be read: {error.strerror}.") from None
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
        limit = f"a file of at most {_LARGEST / 2**20:.0f} MiB"
        raise InputError(f"tokenizer {path}: cannot be read: expected {limit}.")
    return (status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)  # a plan asks for the same file for every run
def _opened(encoding: str | None, path: Path | None, _stamp: Any) -> Tokenizer:
    if path is None or encoding is not None:
        return TiktokenTokenizer(encoding or "", path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"tokenizer {path}: cannot be read: {error.strerror}.") from None
    kind = format_of(content, path)
    if kind == "tiktoken":
        raise InputError(
            f"tokenizer {path}: ranks of tiktoken, which do not say how text is cut before it is "
            f'merged. Set data.tokenizer = "tiktoken:PATTERN:{path}", with a pattern of '
            f"{', '.join(PATTERNS)}; the extra `tiktoken` reads it. Many models have a "
            "tokenizer.json beside their ranks, which needs neither."
        )
    if kind == "sentencepiece":
        return SentencePieceTokenizer(path, content)
    return JsonTokenizer(path, content)


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
