"""A study of seconds, for programs that train it and then do it harm."""

import random
from pathlib import Path

RECIPE = """
[study]
name = "small"
[data]
corpus = "{base}/text.txt"
document = "blank-line"
{data}
seq_len = 32
[model]
width = 32
layers = 2
heads = 2
[training]
objective = "ar"
total_tokens = 6_144
batch_size = 16
lr = 3e-3
{training}
[evaluation]
points = 3
{evaluation}
[sweep]
"training.objective" = ["ar", "mdlm"]
"""
WORDS = ("def", "class", "return", "import", "lambda", "yield", "raise", "assert", "value")


def write_small_study(
    base: Path, *, documents: int, data: str, training: str = "", evaluation: str = ""
) -> list[str]:
    """Write `text.txt` and `small.toml`; returns the documents of the text.

    Args:
        data, training, evaluation: more keys of these tables.
    """
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=60)) for _ in range(documents)]
    (base / "text.txt").write_text("\n\n".join(texts))
    recipe = RECIPE.format(base=base, data=data, training=training, evaluation=evaluation)
    (base / "small.toml").write_text(recipe)
    return texts
