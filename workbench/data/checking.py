"""What a recipe's text is like, before anything is trained on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.data.describe import notes_on_reading
from workbench.data.overlap_audit import (
    THRESHOLD,
    audit_texts,
    default_ngram,
    held_out_texts,
    training_blocks,
)
from workbench.data.preparation import prepare, prepare_validation_set
from workbench.data.prepared import PreparedData
from workbench.errors import InputError
from workbench.recipe import DataConfig


@dataclass(frozen=True)
class CheckedData:
    """The counts of one corpus, or mixture, as it is prepared for training."""

    data: DataConfig
    prepared: PreparedData
    near_duplicates: int
    """Held-out documents half of whose n-grams occur in the training text: at most 5M tokens of
    them are looked at."""
    validation_extra: dict[str, PreparedData]
    problem: str | None
    """Why a run of the recipe cannot be trained on it."""

    def row(self) -> dict[str, Any]:
        """The counts as a row of a table."""
        manifest, counts = self.prepared.manifest, self.round_trip
        return {
            "corpus": self.data.corpus,
            "tokenizer": self.data.tokenizer,
            "documents": manifest["documents"],
            "left_out": self._left_out(),
            "duplicates": manifest["duplicates_removed"],
            "near_duplicates": self.near_duplicates,
            "held_out_documents": manifest["held_out_documents"],
            "train_tokens": sum(manifest.get("parts", {"": self.prepared.train_tokens}).values()),
            "held_out_tokens": self.prepared.held_out_tokens,
            "bytes_per_token": self.prepared.bytes_per_token,
            "lost_characters": counts["lost"] + counts["lost_white"] if counts else None,
        }

    def document(self) -> dict[str, Any]:
        """The counts as a JSON object."""
        sets = {
            name: {
                "documents": prepared.manifest["documents"],
                "tokens": prepared.held_out_tokens,
                "bytes_per_token": prepared.bytes_per_token,
                **prepared.seen,
            }
            for name, prepared in self.validation_extra.items()
        }
        return {
            **self.row(),
            "quality": self.data.quality,
            "fingerprint": self.prepared.fingerprint,
            "read": self.prepared.seen.get("read"),
            "round_trip": self.round_trip,
            "sources": self.prepared.manifest.get("sources"),
            "validation_extra": sets,
            "problem": self.problem,
        }

    def _left_out(self) -> int | None:
        """Rows without text."""
        read = self.prepared.seen.get("read")
        if read is None:
            return None
        return sum(sum(one.get("left_out", {}).values()) for one in read)

    @property
    def round_trip(self) -> dict[str, Any] | None:
        """Counts of `data.round_trip`; None of data that an earlier version prepared."""
        counts: dict[str, Any] | None = self.prepared.seen.get("round_trip")
        return counts

    def notes(self) -> list[str]:
        """Sentences on what a table does not say."""
        notes = notes_on_reading(self.prepared, self.data)
        for prepared in self.validation_extra.values():
            notes += notes_on_reading(prepared, self.data)
        if not self.prepared.seen:
            notes.append(
                f"{self.data.corpus}: prepared by an earlier version, which did not count what is "
                f"left out and lost. Remove {self.prepared.folder} and check again."
            )
        if self.near_duplicates:
            notes.append(
                f"{self.data.corpus}: {self.near_duplicates:,} held-out documents are near "
                "duplicates of training text; `workbench audit` shows the worst ones."
            )
        return notes


def check_data(data: DataConfig, asked: list[DataConfig], results: Path) -> CheckedData:
    """Read and count the text of a `[data]` table. What is read is prepared for training as well:
    `workbench run` finds it.

    Args:
        asked: the tables of the recipe's runs that train on this text.

    Raises:
        InputError: a corpus cannot be read, has too little text to hold some out, or its tokenizer
            does not hold it.
    """
    prepared = prepare(data, results)
    problem = None
    for one in asked:
        try:
            prepared.check(one)
        except InputError as error:
            problem = problem or str(error)
    near = audit_texts(
        "held-out documents",
        held_out_texts(prepared),
        training_blocks(prepared, data, "pool"),
        data,
        default_ngram(data),
        THRESHOLD,
    )
    extra = {
        one.name: prepare_validation_set(one, data, results) for one in data.validation_extra or ()
    }
    return CheckedData(data, prepared, near.flagged, extra, problem)


def tables_of(configs: list[DataConfig]) -> dict[DataConfig, list[DataConfig]]:
    """The `[data]` tables of runs, by the text that they are drawn from: budgets, windows and
    seeds are drawn from the same text."""
    tables: dict[DataConfig, list[DataConfig]] = {}
    seen: dict[DataConfig, DataConfig] = {}
    for data in configs:
        key = data.model_copy(update={"unique_tokens": 1, "seq_len": 1, "seed": 0})
        tables.setdefault(seen.setdefault(key, data), []).append(data)
    return tables
