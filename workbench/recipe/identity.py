"""What makes two runs the same run: the content of their data, and the keys that change numbers."""

import json

from workbench.metrics import PROTOCOL
from workbench.recipe.data import QUALITY_SOURCES
from workbench.recipe.models import RunConfig

SOURCE_KEYS = (
    "corpus", "document", "text_key", "suffixes", "encoding_errors", "tokenizer",
    "validation_documents", "quality",
    *QUALITY_SOURCES,
)  # fmt: skip
"""Keys of `[data]` that say which text is read: the fingerprint of the prepared data has it all."""

_NOT_IN_NUMBERS = {
    "data": SOURCE_KEYS,
    "model": ("size",),  # a name for a shape that stands beside it
    "training": ("checkpoint_every", "checkpoint_points", "activation_checkpointing"),
}
_SOURCE = ("corpus", "path", "document", "text_key", "suffixes")

AUTO_COMPILE_IS = False
"""What `training.compile = "auto"` is in ids and where runs are paired: what it was before there
was a choice. What became of it is recorded at a run's first start (`runs/started_as.py`)."""


def canonical_json(config: RunConfig) -> str:
    """One text for equal configurations. Absent keys are left out, so that a key added later,
    absent by default, leaves the identity of old runs as it was."""
    document = config.model_dump(mode="json", exclude_none=True)
    document["model"].pop("size", None)
    if document["training"]["compile"] == "auto":
        document["training"]["compile"] = AUTO_COMPILE_IS
    for file in document["evaluation"].get("task_files", {}).values():
        if "sha256" in file:
            del file["path"]  # the content decides the numbers, not where it lies
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def numbers_json(config: RunConfig) -> str:
    """One text for runs that have the same numbers, given the same prepared data.

    What only says where the text lies and how it was cut is left out, and so is how often a run is
    saved, and whether the backward pass computes activations again: no number depends on any.
    """
    document = json.loads(canonical_json(config))
    for table, keys in _NOT_IN_NUMBERS.items():
        for key in keys:
            document[table].pop(key, None)
    data = document["data"]
    sources = [*data.get("mixture", ()), *data.get("validation_extra", ())]
    for source in [*sources, *([data["anneal"]] if "anneal" in data else [])]:
        for key in _SOURCE:
            source.pop(key, None)
    return json.dumps({"protocol": PROTOCOL, **document}, sort_keys=True, separators=(",", ":"))
