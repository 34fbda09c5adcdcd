"""Prepared data on disk: opening it, finding it, checking a recipe against it."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.data.corpora import open_corpus
from workbench.data.tokenizers import Vocabulary, load_tokenizer
from workbench.errors import InputError
from workbench.recipe import DataConfig

FORMAT = 1


@dataclass(frozen=True)
class PreparedData:
    """A corpus cut into training and held-out tokens, in `results/data/<fingerprint>`."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "PreparedData":
        """Raises:
        InputError: missing, damaged, or of another format.
        """
        path = folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
            whole = manifest["format"] == FORMAT and all(
                (folder / f"{name}.bin").stat().st_size
                == manifest[f"{name}_tokens"] * np.dtype(manifest["dtype"]).itemsize
                for name in ("train", "held_out")
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({error}). {_MEND}") from None
        if not whole:
            raise InputError(f"{folder}: of another format, or its shards are cut short. {_MEND}")
        return cls(folder, manifest)

    @property
    def fingerprint(self) -> str:
        """Hash of the tokens and the tokenizer: part of every run's identity."""
        return str(self.manifest["fingerprint"])

    @cached_property
    def vocab(self) -> Vocabulary:
        return Vocabulary(**self.manifest["vocabulary"])

    @property
    def train_tokens(self) -> int:
        return int(self.manifest["train_tokens"])

    @property
    def held_out_tokens(self) -> int:
        return int(self.manifest["held_out_tokens"])

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes of held-out text a token, end-of-document tokens counted as no bytes."""
        return float(self.manifest["held_out_bytes"] / self.manifest["held_out_tokens"])

    def train(self) -> NDArray[np.unsignedinteger]:
        """The training tokens, mapped."""
        return self._map("train.bin")

    def held_out(self) -> NDArray[np.unsignedinteger]:
        """The held-out tokens, mapped."""
        return self._map("held_out.bin")

    def held_out_documents(self) -> NDArray[np.int64]:
        """[documents, 2]: where each held-out document starts and ends."""
        spans: NDArray[np.int64] = np.load(self.folder / "held_out_documents.npy")
        return spans

    def _map(self, name: str) -> NDArray[np.unsignedinteger]:
        return np.memmap(self.folder / name, dtype=self.manifest["dtype"], mode="r")

    def check(self, data: DataConfig) -> None:
        """Raises:
        InputError: the recipe asks for more text than there is.
        """
        available = self.train_tokens // data.seq_len * data.seq_len
        if data.unique_tokens > available:
            raise InputError(
                f'data.unique_tokens = {data.unique_tokens}: the corpus "{data.corpus}" has '
                f"{available} training tokens in windows of {data.seq_len}. Lower it, or give "
                "more text."
            )
        if data.validation_tokens > self.held_out_tokens:
            raise InputError(
                f"data.validation_tokens = {data.validation_tokens}: {self.held_out_tokens} tokens "
                "are held out. Lower it, or give more text."
            )


_MEND = "Remove the folder and run the recipe again: the data is prepared anew."


def request_of(data: DataConfig) -> dict[str, Any]:
    """The part of `[data]` that decides the shards."""
    identity = load_tokenizer(data.tokenizer).identity
    corpus = data.corpus
    if corpus != "python-stdlib" and not corpus.startswith("hf:"):
        corpus = str(Path(corpus).expanduser().absolute())
    return {
        "format": FORMAT,
        "corpus": corpus,
        "document": data.document,
        "text_key": data.text_key,
        "tokenizer": identity,
        "validation_tokens": data.validation_tokens,
    }


def request_path(data: DataConfig, results: Path) -> Path:
    """Where the answer to a request is remembered."""
    text = json.dumps(request_of(data), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return results / "data" / "requests" / f"{name}.json"


def find_prepared(data: DataConfig, results: Path) -> PreparedData | None:
    """The prepared data where it is here and its source has not changed since, else None.

    Reads no text: a source is known by the sizes and times of its files.
    """
    try:
        request = request_path(data, results)
    except InputError:
        return None  # the tokenizer's file is not here
    try:
        answer = json.loads(request.read_text())
        folder = results / "data" / answer["folder"]
        prepared = PreparedData.open(folder)
    except (OSError, ValueError, KeyError, InputError):
        return None
    try:
        corpus = open_corpus(data.corpus, document=data.document, text_key=data.text_key)
        unchanged = corpus.signature() == answer["signature"]
    except (InputError, OSError):
        return prepared  # the source is gone: the shards are what there is
    return prepared if unchanged else None
