"""Prepared data on disk: opening it, finding it, checking a recipe against it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.data.sources import (
    ANNEAL,
    FORMAT,
    TextSource,
    open_sources,
    open_validation_set,
    part_names,
    request_of,
    request_path,
    signature,
    validation_request_of,
)
from workbench.data.tokenizers import Vocabulary
from workbench.errors import InputError
from workbench.recipe import DataConfig
from workbench.recipe.data import ValidationSet
from workbench.recipe.mixture_shares import apportion
from workbench.runs.forecasts import digest_of

_BYTES = {"uint16": 2, "uint32": 4}
_SHARD = re.compile(r"held_out|train(-\d+)?|anneal")


@dataclass(frozen=True)
class PreparedData:
    """A corpus cut into training and held-out tokens, in `results/data/<fingerprint>`."""

    folder: Path
    manifest: dict[str, Any]
    seen: dict[str, Any] = field(default_factory=dict, compare=False)
    """What was met when the text was read; nothing where an earlier version read it.

    `read` has an object a corpus: `corpus`, `documents`, and where they are not zero `left_out`
    (rows without text, by why), `replaced` (documents with U+FFFD in place of what was no text) and
    `passed_over` (files of a folder, by ending). `round_trip` has the counts of `round_trip.py`.
    """

    document_end: int | None = None
    """The id that ends held-out documents for a model with one of its own, in the place of the
    vocabulary's."""

    @classmethod
    def open(cls, folder: Path, seen: dict[str, Any] | None = None) -> "PreparedData":
        """Open a folder of prepared data.

        Raises:
            InputError: missing, damaged, or of another format.
        """
        path = folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
            if manifest.get("digest") not in (None, digest_of(manifest)):
                raise ValueError("it is not what was written")
            Vocabulary(**manifest["vocabulary"])
            tokens = {name: manifest[f"{name}_tokens"] for name in ("train", "held_out")}
            tokens.update(manifest.get("parts", {}))
            whole = manifest["format"] == FORMAT and all(
                _SHARD.fullmatch(name)
                and (folder / f"{name}.bin").stat().st_size == count * _BYTES[manifest["dtype"]]
                for name, count in tokens.items()
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: cannot be read ({error}). {_MEND}") from None
        if not whole:
            raise InputError(f"{folder}: of another format, or its shards are cut short. {_MEND}")
        return cls(folder, manifest, seen or {})

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
        """UTF-8 bytes of held-out text a token, end-of-document tokens counted as no bytes.

        The corpora of a mixture count the same, as they do in its validation loss.
        """
        sources = self._held_out_sources() or [self.manifest]
        ratios = [source["held_out_bytes"] / source["held_out_tokens"] for source in sources]
        return float(sum(ratios) / len(ratios))

    def held_out_sections(self) -> list[NDArray[np.unsignedinteger]]:
        """The held-out tokens of each corpus of a mixture; all of them where there is one."""
        text, start, sections = self.held_out(), 0, []
        for source in self._held_out_sources() or [self.manifest]:
            sections.append(text[start : start + source["held_out_tokens"]])
            start += source["held_out_tokens"]
        return sections

    def _held_out_sources(self) -> list[dict[str, Any]]:
        return [source for source in self.manifest.get("sources", []) if source["held_out_tokens"]]

    def train(self, part: str = "train") -> NDArray[np.unsignedinteger]:
        """The training tokens, or those of a mixture's further corpora, mapped."""
        return self._map(f"{part}.bin")

    def part_tokens(self, part: str) -> int:
        """Tokens of one shard of training text."""
        return int(self.manifest.get("parts", {"train": self.train_tokens})[part])

    def held_out(self) -> NDArray[np.unsignedinteger]:
        """The held-out tokens, mapped."""
        tokens = self._map("held_out.bin")
        if self.document_end is None:
            return tokens
        return np.where(tokens == self.vocab.eod_id, self.document_end, tokens).astype(tokens.dtype)

    def held_out_documents(self) -> NDArray[np.int64]:
        """[documents, 2]: where each held-out document starts and ends."""
        spans: NDArray[np.int64] = np.load(self.folder / "held_out_documents.npy")
        return spans

    def _map(self, name: str) -> NDArray[np.unsignedinteger]:
        return np.memmap(self.folder / name, dtype=self.manifest["dtype"], mode="r")

    def check(self, data: DataConfig) -> None:
        """Check that there is as much text as a recipe asks for.

        Raises:
            InputError: it asks for more.
        """
        budgets = unique_windows(data)
        for part, n_windows in budgets.items():
            available = self.part_tokens(part) // data.seq_len
            # A budget that is no whole number of windows must be there all the same.
            beyond = data.mixture is None and part == "train"
            if n_windows > available or (beyond and data.unique_tokens > available * data.seq_len):
                raise InputError(_too_little(data, part, n_windows, available))
        if data.validation_tokens > self.held_out_tokens:
            raise InputError(
                f"data.validation_tokens = {data.validation_tokens}: {self.held_out_tokens} tokens "
                "are held out. Lower it, or give more text."
            )


def unique_windows(data: DataConfig) -> dict[str, int]:
    """How many unique windows each shard of training text gives."""
    n_windows = data.unique_tokens // data.seq_len
    counts = (
        apportion(n_windows, [corpus.weight for corpus in data.mixture]) if data.mixture else None
    )
    windows = counts or [n_windows]
    if data.anneal:
        windows = [*windows, data.anneal.unique_tokens // data.seq_len]
    return dict(zip(part_names(data), windows, strict=True))


def _too_little(data: DataConfig, part: str, n_windows: int, available: int) -> str:
    tokens = available * data.seq_len
    have = f"{tokens} training tokens in windows of {data.seq_len}. Lower it, or give more text."
    if part == ANNEAL:
        assert data.anneal is not None
        return (
            f'data.anneal.unique_tokens = {data.anneal.unique_tokens}: "{data.anneal.corpus}", '
            f"without what the other corpora hold too, has {have}"
        )
    if data.mixture:
        source = data.mixture[part_names(data).index(part)]
        return (
            f"data.unique_tokens = {data.unique_tokens}: {n_windows * data.seq_len} of them shall "
            f'come from "{source.corpus}" (weight {source.weight:g}), which has {have}'
        )
    which = f" of {data.quality} quality has" if data.quality else " has"
    return f'data.unique_tokens = {data.unique_tokens}: the corpus "{data.corpus}"{which} {have}'


_MEND = "Remove the folder and run the recipe again: the data is prepared anew."


def find_prepared(data: DataConfig, results: Path) -> PreparedData | None:
    """The prepared data where it is here and its source has not changed since, else None.

    Reads no text: a source is known by the sizes and times of its files.
    """
    try:
        request = request_of(data)
    except InputError:
        return None  # the tokenizer's file is not here
    return _find(request, lambda: open_sources(data), data, results)


def find_validation_set(
    validation_set: ValidationSet, data: DataConfig, results: Path
) -> PreparedData | None:
    """The prepared data of a second validation set: as `find_prepared`."""
    try:
        request = validation_request_of(validation_set, data)
    except InputError:
        return None
    plain = data.model_copy(update={"quality_scores": None})
    return _find(request, lambda: [open_validation_set(validation_set, data)], plain, results)


def _find(
    request: dict[str, Any],
    sources: Callable[[], list[TextSource]],
    data: DataConfig,
    results: Path,
) -> PreparedData | None:
    try:
        answer = json.loads(request_path(request, results).read_text())
        prepared = PreparedData.open(results / "data" / answer["folder"], answer.get("seen"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError):
        return None
    try:
        unchanged = signature(sources(), data) == answer["signature"]
    except (InputError, OSError):
        return prepared  # the source is gone: the shards are what there is
    return prepared if unchanged else None
