"""Text of no meaning in the place of a recipe's corpus, which need not be here to rehearse a run.

One small shard in place of all corpora of a mixture, of the annealing set and of the second
validation sets: what a step or an evaluation does does not depend on which text it reads.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from workbench.data import PreparedData
from workbench.data.sources import FORMAT
from workbench.data.tokenizers import Vocabulary
from workbench.recipe import RunConfig

_AS_MANY_QUESTIONS = 4  # options a question: a batch of sequences is a quarter as many questions


def reduced(config: RunConfig, layers: int | None) -> RunConfig:
    """The run as it is rehearsed: an evaluation of about one batch a rank, one draw of noise, text
    of one batch, and `layers` layers where not None."""
    batch, length = config.training.batch_size, config.data.seq_len
    evaluation = config.evaluation.model_copy(
        update={
            "cloze_questions": -(-batch // _AS_MANY_QUESTIONS),
            "memorisation": min(config.evaluation.memorisation or 0, batch) or None,
            **{
                name: 1
                for name in ("validation_draws", "validation_draws_last", "cloze_draws")
                if getattr(config.evaluation, name) is not None
            },
        }
    )
    data = config.data.model_copy(
        update={
            "unique_tokens": batch * length,
            "validation_tokens": batch * length,
            "tokenizer": "bytes",
            "mixture": None,
            "anneal": None,
            "validation_extra": None,
        }
    )
    model = config.model
    if layers is not None:
        model = model.model_copy(update={"layers": min(layers, model.layers or layers)})
    return config.model_copy(update={"data": data, "evaluation": evaluation, "model": model})


def stand_in_data(config: RunConfig, folder: Path) -> PreparedData:
    """Prepared data of a reduced run, written to a folder."""
    size = config.model.vocab_size
    assert size is not None
    length = config.data.seq_len
    train = config.data.unique_tokens
    # A document a window: questions of k examples take windows of several documents.
    documents = max(config.data.validation_tokens // length, 16)
    held_out = documents * length
    tokens = np.random.default_rng(0).integers(0, size - 2, max(train, held_out))
    kind = np.uint16 if size <= 2**16 else np.uint32
    folder.mkdir(parents=True, exist_ok=True)
    tokens[:train].astype(kind).tofile(folder / "train.bin")
    tokens[:held_out].astype(kind).tofile(folder / "held_out.bin")
    ends = np.arange(1, documents + 1, dtype=np.int64) * length
    np.save(folder / "held_out_documents.npy", np.stack([ends - length, ends], axis=1))
    manifest = {
        "format": FORMAT,
        "dtype": np.dtype(kind).name,
        "vocabulary": asdict(Vocabulary(size - 2, size, size - 2, size - 1, 0)),
        "train_tokens": train,
        "held_out_tokens": held_out,
        "held_out_bytes": 4 * held_out,
        "fingerprint": "rehearsal",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return PreparedData.open(folder)
