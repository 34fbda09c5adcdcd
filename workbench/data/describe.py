"""What a plan and a run's `config.json` tell of text that is more than one corpus."""

from collections.abc import Callable
from typing import Any

from workbench.data.prepared import unique_windows
from workbench.data.streams import anneal_start
from workbench.recipe import RunConfig


def told_sources(config: RunConfig) -> dict[str, Any]:
    """Quality tier, parts of the mixture and annealing of a resolved run; nothing for a run
    without. Epochs of an annealing set count what its steps read over its unique tokens."""
    data = config.data
    told: dict[str, Any] = {}
    if data.quality is not None:
        told["quality"] = data.quality
    windows = unique_windows(data)
    if data.mixture is not None:
        told["mixture"] = [
            {"corpus": one.corpus, "unique_tokens": n_windows * data.seq_len}
            for one, n_windows in zip(data.mixture, windows.values(), strict=False)
        ]
    first = anneal_start(config)
    if data.anneal is not None and first is not None:
        tokens = (config.steps - first) * config.tokens_per_step
        told["anneal"] = {
            "corpus": data.anneal.corpus,
            "unique_tokens": data.anneal.unique_tokens,
            "first_step": first + 1,
            "tokens": tokens,
            "epochs_before": first * config.tokens_per_step / data.unique_tokens,
            "epochs": tokens / data.anneal.unique_tokens,
        }
    return told


def told_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a plan for a table: each of these keys as a few words, in every row if in one."""
    words: dict[str, Callable[[Any], str]] = {
        "quality": str,
        "mixture": _told_mixture,
        "anneal": _told_anneal,
    }
    present = [key for key in words if any(key in row for row in rows)]
    return [
        {**row, **{key: words[key](row[key]) if key in row else None for key in present}}
        for row in rows
    ]


def _told_mixture(parts: list[dict[str, Any]]) -> str:
    return " + ".join(f"{_short(part['corpus'])} {part['unique_tokens']:,}" for part in parts)


def _short(corpus: str) -> str:
    """The last part of a path: JSON has all of it."""
    return corpus.rstrip("/").rpartition("/")[2] or corpus


def _told_anneal(anneal: dict[str, Any]) -> str:
    return (
        f"{_short(anneal['corpus'])} {anneal['unique_tokens']:,} from step "
        f"{anneal['first_step']:,}, {anneal['epochs']:.3g} epochs"
    )
