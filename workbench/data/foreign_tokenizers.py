"""Tokenizers that their own libraries read: SentencePiece models and the ranks of tiktoken."""

import base64
import binascii
import hashlib
import importlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.data.tokenizer_files import CONVERT, MissingTokenizer
from workbench.data.vocabulary import Vocabulary
from workbench.errors import InputError

_LETTER = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "cl100k_base": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k_base": "|".join(
        [
            f"{_LETTER}[{_UPPER}]*[{_LOWER}]+{_ENDING}",
            f"{_LETTER}[{_UPPER}]+[{_LOWER}]*{_ENDING}",
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ]
    ),
}
"""How text is cut before merges, by encoding: tiktoken's `tiktoken_ext/openai_public.py`. A file of
ranks does not say."""


def _library(name: str, path: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        what = {"sentencepiece": "a SentencePiece model", "tiktoken": "ranks of tiktoken"}[name]
        raise InputError(
            f"tokenizer {path}: {what}, which the extra `{name}` reads: "
            f"pip install 'workbench[{name}]'. {CONVERT}"
        ) from None


class SentencePieceTokenizer:
    """A SentencePiece `.model`, as its own library reads it. Documents end with an id of ours."""

    def __init__(self, path: Path, content: bytes) -> None:
        """Raises:
        InputError: the library is not installed, or cannot read the file.
        """
        library = _library("sentencepiece", str(path))
        try:
            self._library = library.SentencePieceProcessor(model_proto=content)
        except Exception as error:
            raise InputError(f"tokenizer {path}: not a SentencePiece model ({error}).") from None
        self._content = content
        self._n_ids = self._library.vocab_size()
        self.vocabulary = Vocabulary.of(self._n_ids)
        self.identity = self.reading = hashlib.sha256(content).hexdigest()

    def encode(self, chunks: list[str]) -> list[NDArray[Any]]:
        return [np.asarray(ids, dtype=np.uint32) for ids in self._library.encode(chunks)]

    def decode(self, ids: Iterable[int]) -> str:
        return str(self._library.decode([int(i) for i in ids if i < self._n_ids]))

    def save(self, folder: Path) -> None:
        (folder / "tokenizer.model").write_bytes(self._content)


class TiktokenTokenizer:
    """An encoding of tiktoken by its name, or a file of ranks cut by the pattern of that name."""

    def __init__(self, name: str, path: Path | None = None) -> None:
        """Raises:
        InputError: the library is not installed, the name is unknown, or the ranks are not whole.
        """
        spec = f"tiktoken:{name}" + (f":{path}" if path else "")
        eod_id = None
        if path is None:
            self._library = _named(name, spec)
            if "<|endoftext|>" in self._library.special_tokens_set:
                eod_id = self._library.eot_token
            self._bytes = _bytes_of(self._library)
        else:
            if name not in PATTERNS:
                raise InputError(
                    f'data.tokenizer = "{spec}": no pattern "{name}". Patterns are '
                    f"{', '.join(PATTERNS)}."
                )
            self._bytes = _read_ranks(path)
            self._library = _library("tiktoken", spec).Encoding(
                name,
                pat_str=PATTERNS[name],
                mergeable_ranks={text: rank for rank, text in self._bytes.items()},
                special_tokens={},
            )
        self.vocabulary = Vocabulary.of(self._library.max_token_value + 1, eod_id)
        self._name = name
        text = f"{name}:{self.vocabulary}:{sorted(self._bytes.items())}"
        self.identity = self.reading = hashlib.sha256(text.encode()).hexdigest()

    def encode(self, chunks: list[str]) -> list[NDArray[Any]]:
        encoded = self._library.encode_ordinary_batch(chunks)
        return [np.asarray(ids, dtype=np.uint32) for ids in encoded]

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self._bytes.get(int(i), b"") for i in ids).decode(errors="replace")

    def save(self, folder: Path) -> None:
        ranks = sorted(self._bytes.items())
        lines = [f"{base64.b64encode(text).decode()} {rank}\n" for rank, text in ranks]
        (folder / "ranks.tiktoken").write_text("".join(lines))
        description = {"type": "tiktoken", "ranks": "ranks.tiktoken", "pattern_of": self._name}
        (folder / "tiktoken.json").write_text(
            json.dumps(description | asdict(self.vocabulary), indent=2) + "\n"
        )


def _named(name: str, spec: str) -> Any:
    library = _library("tiktoken", spec)
    try:
        return library.get_encoding(name)
    except ValueError:
        raise InputError(
            f'data.tokenizer = "{spec}": unknown to tiktoken, which knows '
            f"{', '.join(library.list_encoding_names())}. A file of ranks is "
            f"tiktoken:PATTERN:PATH, with a pattern of {', '.join(PATTERNS)}."
        ) from None
    except OSError as error:
        raise MissingTokenizer(
            f'data.tokenizer = "{spec}": neither in tiktoken\'s cache (TIKTOKEN_CACHE_DIR) nor to '
            f"be had from its server ({type(error).__name__}). Where its file of ranks is here, "
            f"give tiktoken:{name}:PATH."
        ) from None


def _bytes_of(encoding: Any) -> dict[int, bytes]:
    """The bytes of every id but the special ones."""
    found = {}
    for token in range(encoding.max_token_value + 1):
        if not encoding.is_special_token(token):
            with suppress(KeyError):  # ids may have gaps
                found[token] = encoding.decode_single_token_bytes(token)
    return found


def _read_ranks(path: Path) -> dict[int, bytes]:
    """The bytes of every rank in a file of them: a line has bytes in base64, and the rank."""
    ranks: dict[int, bytes] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            text, rank = line.split() if line.strip() else (None, b"0")
            if text is not None:
                ranks[int(rank)] = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise InputError(
                f"tokenizer {path}, line {number}: expected bytes in base64 and a rank, such as "
                f'"IQ== 0".'
            ) from None
    missing = 256 - sum(len(text) == 1 for text in set(ranks.values()))
    if missing:
        raise InputError(
            f"tokenizer {path}: {missing} of the 256 bytes have no rank, so not every text has "
            "tokens. The file is cut short, or no ranks of tiktoken."
        )
    return ranks
