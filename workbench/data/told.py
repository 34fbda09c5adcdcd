"""What a plan and a run's `config.json` tell of text that is more than one corpus."""

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
            "epochs": tokens / data.anneal.unique_tokens,
        }
    return told
