"""The recipe that `gpu.py` trains, with its text and its tokenizer."""

import argparse
import json
import random
import string
from pathlib import Path

from workbench.data.tokenizers import END_OF_DOCUMENT

GPT2_TOKENS = 50_257
LOG_EVERY = 5

RECIPE = """
[study]
name = "gpu"

[data]
corpus = "{folder}/text.txt"
document = "line"
tokenizer = "{tokenizer}"
unique_tokens = {unique}
seq_len = {seq_len}
validation_tokens = {validation}

[model]
size = "{size}"

[training]
objective = "ar"
total_tokens = {total}
batch_size = {sequences}
lr = 1e-4
dtype = "{dtype}"
device = "{device}"
log_every = {log_every}
activation_checkpointing = {recompute}

[evaluation]
points = 1

[sweep]
"training.objective" = {objectives}
"training.compile" = {compiled}
"""


def write_recipe(folder: Path, arguments: argparse.Namespace, device: str) -> Path:
    """The recipe with its text and, on a GPU, a tokenizer of GPT-2's size."""
    on_gpu = device == "cuda"
    size = arguments.size or ("1B" if on_gpu else "0.2M")
    seq_len = arguments.seq_len or (2048 if on_gpu else 64)
    batch = arguments.sequences * seq_len
    unique = 8 * batch
    _write_text(folder / "text.txt", 4 * (unique + batch))
    if on_gpu:
        _write_tokenizer(folder / "tokenizer.json")
    # False is eager, True is compiled; neither option means both.
    modes = {False, True} if arguments.compile == arguments.eager else {arguments.compile}
    recipe = folder / "gpu.toml"
    recipe.write_text(
        RECIPE.format(
            folder=folder,
            tokenizer=folder / "tokenizer.json" if on_gpu else "bytes",
            unique=unique,
            validation=batch,
            seq_len=seq_len,
            size=size,
            total=arguments.steps * batch,
            sequences=arguments.sequences,
            dtype="bfloat16" if on_gpu else "float32",
            device=device,
            log_every=LOG_EVERY,
            recompute=str(arguments.recompute).lower(),
            objectives=json.dumps(arguments.objectives),
            compiled=json.dumps(sorted(modes)),
        )
    )
    return recipe


def _write_text(path: Path, characters: int) -> None:
    rng, written = random.Random(0), 0
    with open(path, "w") as file:
        while written < characters:
            line = "".join(rng.choices(string.ascii_lowercase + "     ", k=1000)) + "\n"
            written += file.write(line)


def _write_tokenizer(path: Path) -> None:
    """Bytes, in a vocabulary as large as GPT-2's: its size is what a step's time depends on."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    unused = (f"unused-{number}" for number in range(GPT2_TOKENS - len(alphabet) - 1))
    vocabulary = {token: number for number, token in enumerate([*alphabet, *unused])}
    library = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([END_OF_DOCUMENT])
    library.save(str(path))
