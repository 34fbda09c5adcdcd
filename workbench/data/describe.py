"""Description of text that is more than one corpus, for plans and a run's `config.json`."""

from collections.abc import Callable
from typing import Any

from workbench.data.prepared import PreparedData, unique_windows
from workbench.data.reading import reading_notes
from workbench.data.round_trip import note_of
from workbench.data.streams import anneal_start
from workbench.recipe import DataConfig, RunConfig


def describe_sources(config: RunConfig) -> dict[str, Any]:
    """Return quality tier, mixture and annealing of a resolved run; nothing for a run without.

    Epochs of an annealing set are the tokens that its steps read over its unique tokens.
    """
    data = config.data
    description: dict[str, Any] = {}
    if data.quality is not None:
        description["quality"] = data.quality
    windows = unique_windows(data)
    if data.mixture is not None:
        description["mixture"] = [
            {"corpus": part.corpus, "unique_tokens": n_windows * data.seq_len}
            for part, n_windows in zip(data.mixture, windows.values(), strict=False)
        ]
    first = anneal_start(config)
    if data.anneal is not None and first is not None:
        tokens = (config.steps - first) * config.tokens_per_step
        description["anneal"] = {
            "corpus": data.anneal.corpus,
            "unique_tokens": data.anneal.unique_tokens,
            "first_step": first + 1,
            "tokens": tokens,
            "epochs_before": first * config.tokens_per_step / data.unique_tokens,
            "epochs": tokens / data.anneal.unique_tokens,
        }
    return description


def notes_on_reading(prepared: PreparedData, data: DataConfig) -> list[str]:
    """Return sentences on what was left out of the corpora, and what their tokenizer loses."""
    notes = reading_notes(prepared.seen.get("read", []))
    lost = note_of(prepared.seen.get("round_trip", {}), data.tokenizer)
    return [*notes, lost] if lost else notes


def with_text_columns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a plan's rows for a table, the values of these keys as text, in all rows if in any."""
    texts: dict[str, Callable[[Any], str]] = {
        "quality": str,
        "mixture": _mixture_text,
        "anneal": _anneal_text,
    }
    present = [key for key in texts if any(key in row for row in rows)]
    return [
        {**row, **{key: texts[key](row[key]) if key in row else None for key in present}}
        for row in rows
    ]


def _mixture_text(parts: list[dict[str, Any]]) -> str:
    return " + ".join(f"{_short(part['corpus'])} {part['unique_tokens']:,}" for part in parts)


def _short(corpus: str) -> str:
    """Return the last part of a path; JSON has all of it."""
    return corpus.rstrip("/").rpartition("/")[2] or corpus


def _anneal_text(anneal: dict[str, Any]) -> str:
    return (
        f"{_short(anneal['corpus'])} {anneal['unique_tokens']:,} from step "
        f"{anneal['first_step']:,}, {anneal['epochs']:.3g} epochs"
    )
