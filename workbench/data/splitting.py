"""Which documents are held out, and which training documents go into which shard.

A document is on one side of the split, and in one shard: exact duplicates are removed across all
sources before anything is chosen. What is held out is chosen by a hash of the content, before
tiers are cut and whatever the weights of a mixture, so that curves of tiers and of mixtures are
measured on the same windows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.data.documents import Documents
from workbench.data.quality import tier_of
from workbench.data.sources import TextSource
from workbench.errors import InputError
from workbench.recipe import DataConfig
from workbench.recipe.data import TIERS

HELD_OUT_SHARE = 0.05

Chosen = NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """[documents] masks: the first copy of each text, and of these the held-out ones and those of
    each shard, which share none."""

    distinct: Chosen
    held_out: Chosen
    parts: dict[str, Chosen]


def split_documents(data: DataConfig, sources: list[TextSource], documents: Documents) -> Split:
    """Choose the held-out documents of each source; the others are trained on.

    Raises:
        InputError: a source has too few documents, or too little text, to hold some out.
    """
    distinct = documents.first_copies()
    held_out = np.zeros(len(documents), dtype=bool)
    parts: dict[str, Chosen] = {}
    for number, source in enumerate(sources):
        own = distinct & documents.of_source(number)
        if source.held_out is not None:
            n_documents = documents.bounds[number + 1] - documents.bounds[number]
            held_out |= _held_out(data, source, documents, own, n_documents)
        parts[source.part] = own & ~held_out
    return Split(distinct, held_out, parts)


def _held_out(
    data: DataConfig, source: TextSource, documents: Documents, own: Chosen, n_documents: int
) -> Chosen:
    """Whole documents, chosen by a hash of their content, until they are enough."""
    if n_documents < 2:
        raise InputError(
            f'data.corpus = "{source.name}" has {n_documents} document(s), and some must be held '
            'out. Set data.document = "blank-line" or "line" to cut it into more.'
        )
    lengths, digests = documents.lengths, documents.digests
    candidates = np.flatnonzero(own)
    total = int(lengths[candidates].sum())
    assert source.held_out is not None
    wanted = max(source.held_out, int(HELD_OUT_SHARE * total))
    if wanted * 2 > total or len(candidates) < 2:
        which = f'corpus "{source.name}"' if data.mixture else "corpus"
        raise InputError(
            f"data.validation_tokens = {data.validation_tokens}: the {which} has {total} tokens in "
            f"{len(candidates)} distinct documents, and no more than half may be held out."
        )
    if source.held_out_documents * 2 > len(candidates):
        which = f'corpus "{source.name}"' if data.mixture else "corpus"
        raise InputError(
            f"data.validation_documents = {data.validation_documents}: the {which} has "
            f"{len(candidates)} distinct documents, and no more than half may be held out. Ask for "
            f"{len(candidates) // 2 * max(1, len(data.mixture or ()))} or fewer, or set "
            'data.document = "blank-line" or "line" to cut it into more.'
        )
    order = candidates[np.argsort(digests[candidates, 1], kind="stable")]
    reached = np.cumsum(lengths[order])
    by_tokens = int(np.searchsorted(reached, wanted)) + 1
    count = min(max(by_tokens, source.held_out_documents), len(order) - 1)
    held_out = np.zeros(len(documents), dtype=bool)
    held_out[order[:count]] = True
    return held_out


def cut_tiers(split: Split, documents: Documents) -> dict[str | None, tuple[Split, dict[str, Any]]]:
    """For each quality tier, the split with that tier alone as training text, and the tier's entry
    in the manifest."""
    assert documents.scores is not None
    training = split.parts["train"]
    if documents.buckets:
        return {
            name: _trained_on(split, training & (documents.scores == place), name)
            for place, name in enumerate(documents.buckets)
        }
    tiers = tier_of(documents.scores, documents.digests, documents.lengths, training)
    by_tier: dict[str | None, tuple[Split, dict[str, Any]]] = {}
    for number, name in enumerate(TIERS):
        chosen = tiers == number
        scores = documents.scores[chosen]
        by_tier[name] = _trained_on(
            split,
            chosen,
            name,
            lowest_score=float(scores.min()) if len(scores) else None,
            highest_score=float(scores.max()) if len(scores) else None,
        )
    return by_tier


def _trained_on(
    split: Split, chosen: Chosen, name: str, **more: float | None
) -> tuple[Split, dict[str, Any]]:
    """The split with the chosen documents as training text, and their entry in the manifest."""
    entry = {"tier": name, "documents": int(chosen.sum()), **more}
    return Split(split.distinct, split.held_out, {**split.parts, "train": chosen}), entry
