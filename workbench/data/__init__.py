"""Data: corpora, tokenizers, shards, windows. Nothing here imports torch."""

from workbench.data.prepared import PreparedData, find_prepared

__all__ = ["PreparedData", "find_prepared", "prepare"]


def __getattr__(name: str) -> object:
    """Import `prepare`, and with it the writing half, only when it is used."""
    if name == "prepare":
        from workbench.data.preparation import prepare

        return prepare
    raise AttributeError(name)
