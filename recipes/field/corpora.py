"""Write the text of the benchmarks in `recipes/field`, cut as their rules say.

    python recipes/field/corpora.py slowrun [--folder corpora/slowrun]
    python recipes/field/corpora.py babylm FILE... [--folder corpora/babylm]

`slowrun` streams FineWeb from Hugging Face's hub (`pip install datasets tiktoken`): the first 10M
tokens of GPT-2 are the validation text, and training text follows, 100M tokens and some more, of
which the workbench holds out its own. `babylm` joins the lines of the challenge's files, which have
been downloaded before, to documents: single lines such as "Yes." occur often, and the second of two
equal documents is not trained on.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

# qlabs-eng/slowrun at fd342f0, prepare_data.py: data set, order and budgets.
FINEWEB, SUBSET = "HuggingFaceFW/fineweb", "sample-10BT"
VALIDATION_TOKENS, TRAINING_TOKENS = 10_000_000, 100_000_000
HELD_OUT = 0.06
"""Of the training text besides: the workbench holds out a twentieth, by whole documents."""
LINES = 64
"""Of a document of BabyLM: about 600 words of conversation."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    slowrun = kinds.add_parser("slowrun")
    slowrun.add_argument("--folder", type=Path, default=Path("corpora/slowrun"))
    babylm = kinds.add_parser("babylm")
    babylm.add_argument("files", nargs="+", type=Path)
    babylm.add_argument("--folder", type=Path, default=Path("corpora/babylm"))
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.kind == "babylm":
        write(asked.folder / "strict-small.jsonl", joined_lines(asked.files))
        return
    import tiktoken
    from datasets import load_dataset

    encode = tiktoken.get_encoding("gpt2").encode_ordinary
    rows = iter(load_dataset(FINEWEB, name=SUBSET, split="train", streaming=True))
    documents = (row["text"] for row in rows)
    write(asked.folder / "validation.jsonl", until(documents, encode, VALIDATION_TOKENS))
    training = round(TRAINING_TOKENS * (1 + HELD_OUT))
    write(asked.folder / "train.jsonl", until(documents, encode, training))


def until(
    documents: Iterator[str], encode: Callable[[str], list[int]], tokens: int
) -> Iterator[str]:
    """The next documents of a stream, up to the one in which so many tokens are reached.

    An end-of-document token counts for each. The benchmark cuts the last document off there; here
    it is whole.
    """
    seen = 0
    while seen < tokens:
        text = next(documents)
        seen += len(encode(text)) + 1
        yield text


def joined_lines(files: Iterable[Path]) -> Iterator[str]:
    """Documents of so many lines each, none of two files."""
    for path in sorted(files):
        with open(path, encoding="utf-8") as lines:
            while part := "".join(islice(lines, LINES)):
                yield part


def write(path: Path, documents: Iterable[str]) -> None:
    count = words = 0
    with open(path, "w", encoding="utf-8") as file:
        for text in documents:
            file.write(json.dumps({"text": text}) + "\n")
            count, words = count + 1, words + len(text.split())
    print(f"{path}: {count:,} documents, {words:,} words")


if __name__ == "__main__":
    main()
