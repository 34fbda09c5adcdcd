"""Tokenizers of the `tokenizers` library, read from a `tokenizer.json`.

Such a file carries settings of the program that saved it, and is read without them: truncation
and padding (transformers saves those of its last call), random dropout of merges. Its special
tokens are recognised in no text: a page that mentions `<|endoftext|>` does not end there.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from workbench.data.vocabulary import END_OF_DOCUMENT, Vocabulary
from workbench.errors import InputError

PATIENCE_SECONDS = 60.0
SLOWEST_CHARACTERS = 100_000
"""A second, for a batch of text that has used up the patience: fifty times slower than is usual."""
_SPARSE = 16

Result = TypeVar("Result")


class JsonTokenizer:
    """A tokenizer of the `tokenizers` library, from its `tokenizer.json`."""

    def __init__(self, path: Path, content: bytes) -> None:
        """Read a `tokenizer.json`.

        Raises:
            InputError: it is not a tokenizer, or its ids are spread too widely to train with.
        """
        from tokenizers import Tokenizer as Library
        from tokenizers import decoders

        self.path, self._content = path, content
        try:
            self._document = json.loads(content)
            self._settings = _left_out(self._document)
            text = json.dumps(self._document) if self._settings else content.decode("utf-8-sig")
            self._library = Library.from_str(text)
        except Exception as error:
            raise InputError(f"tokenizer {path}: not a tokenizer.json ({error}).") from None
        if self._library.decoder is None and '"ByteLevel"' in json.dumps(
            self._document.get("pre_tokenizer")
        ):
            self._library.decoder = decoders.ByteLevel()  # else bytes are shown as other letters
        count = self._library.get_vocab_size(with_added_tokens=True)
        named_eod = self._library.token_to_id(END_OF_DOCUMENT)
        before = Vocabulary.of(count, named_eod)
        # The text of the end-of-document token must not become that token.
        self._library.encode_special_tokens = True
        in_text = self.encode([END_OF_DOCUMENT])[0]
        self._n_ids = _number_of_ids(self._library.get_vocab(with_added_tokens=True), path)
        self.vocabulary = Vocabulary.of(self._n_ids, None if named_eod in in_text else named_eod)
        digest = hashlib.sha256(content).hexdigest()
        ids = self.vocabulary
        # Files whose ids were always read so are what they were.
        self.identity = digest if ids == before else f"{digest}:{ids.n_tokens}:{ids.eod_id}"
        specials = any(token.get("special") for token in self._document.get("added_tokens") or ())
        self.reading = f"{self.identity}:as-text" if specials else self.identity
        if self._settings:
            self.reading += ":without-" + "-".join(self._settings)

    def encode(self, chunks: list[str]) -> list[NDArray[Any]]:
        characters = sum(map(len, chunks))
        encoded = self._in_time(
            lambda: self._library.encode_batch_fast(chunks, add_special_tokens=False),
            PATIENCE_SECONDS + characters / SLOWEST_CHARACTERS,
        )
        return [np.asarray(encoding.ids, dtype=np.uint32) for encoding in encoded]

    def decode(self, ids: Iterable[int]) -> str:
        return str(self._library.decode([int(i) for i in ids if i < self._n_ids]))

    def save(self, folder: Path) -> None:
        text = self._library.to_str().encode() if self._settings else self._content
        (folder / "tokenizer.json").write_bytes(text)

    def _in_time(self, work: Callable[[], Result], seconds: float) -> Result:
        """Return what the library returns; its regular expressions can take for ever.

        Args:
            seconds: of processor time, all threads together.

        Raises:
            InputError: it took too long, or gave up on a pattern.
        """
        results: list[Result] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(work())
            except BaseException as error:  # a panic of the library is no Exception
                errors.append(error)

        # A daemon: nothing can stop the library, and the process must be able to end before it.
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        began = time.process_time()  # a busy machine is no reason to give up
        while thread.is_alive() and time.process_time() - began < seconds:
            thread.join(0.1)
        if results:
            return results[0]
        patterns = ", ".join(_patterns(self._document)) or "none"
        if not errors:
            raise InputError(
                f"tokenizer {self.path}: some of the text was not tokenized within "
                f"{seconds:,.0f} seconds of processor time: a pattern of the file backtracks "
                f"without end on it. Its patterns: {patterns}. Take another tokenizer, or leave "
                "that text out."
            )
        if type(errors[0]).__name__ != "PanicException":
            raise errors[0]
        raise InputError(
            f"tokenizer {self.path}: its library gave up on some of the text ({errors[0]}). The "
            f"file's patterns: {patterns}. Take another tokenizer, or leave that text out."
        )


def _left_out(document: Any) -> list[str]:
    """Remove the settings that do not belong to the tokenizer, and return their names."""
    names = []
    for table, name in (
        (document, "truncation"),
        (document, "padding"),
        (document["model"], "dropout"),
    ):
        if table.get(name) is not None:
            table[name] = None
            names.append(name)
    return names


def _number_of_ids(vocabulary: dict[str, int], path: Path) -> int:
    """One more than the largest id, which is the number of tokens where no id is left out."""
    by_id: dict[int, str] = {}
    for token, number in vocabulary.items():
        if by_id.setdefault(number, token) != token:
            # Also where ids have a gap: the library counts tokens to number those that are added.
            raise InputError(
                f'tokenizer {path}: "{by_id[number]}" and "{token}" are both read as id {number}. '
                "Number the tokens from 0 without gaps, added ones last."
            )
    if not by_id:
        raise InputError(f"tokenizer {path}: its vocabulary is empty.")
    last = by_id[max(by_id)]
    if vocabulary[last] >= _SPARSE * len(vocabulary):
        raise InputError(
            f'tokenizer {path}: the token "{last}" has id {vocabulary[last]}, and there are '
            f"{len(vocabulary)} tokens: a model would have a row for each id between. Number the "
            "tokens without such gaps."
        )
    return vocabulary[last] + 1


def _patterns(document: Any) -> list[str]:
    """Every regular expression of a tokenizer.json."""
    if isinstance(document, dict):
        own = [document["Regex"]] if isinstance(document.get("Regex"), str) else []
        values = [value for key, value in document.items() if key not in ("model", "added_tokens")]
        return own + [pattern for value in values for pattern in _patterns(value)]
    if isinstance(document, list):
        return [pattern for value in document for pattern in _patterns(value)]
    return []
