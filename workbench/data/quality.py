"""Quality: a score for each document, and tiers of equal numbers of tokens; or a named bucket.

The built-in score is a mean of four shares in [0, 1], each the continuous form of a filter that
published code and text corpora apply with a threshold:

comments    the share of text in comments and docstrings, full marks from a fifth on: StarCoder
            (arXiv 2305.06161, section 3.2) and SantaCoder (2301.03988) drop files below 1 %, and
            phi-1 (2306.11644) found text that explains itself worth more a token.
lines       the share of text in lines of at most 100 characters: Codex (2107.03374) drops files
            whose lines are 100 characters long in the mean: data, minified or generated code.
letters     letters among what is not white, full marks from three quarters on: Codex and
            The Stack (2211.15533) drop files with less than a quarter; tables, encoded data.
repetition  the share of lines that are the first of their kind: Gopher (2112.11446, table A1)
            drops documents where 30 % of the lines are repeats.

It looks at a document's first mebibyte of characters. It knows nothing of content: it is a
stand-in for a corpus's own scores, and its name, with a version, is part of the data's identity.
"""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.recipe.data import TIERS

Scores = NDArray[np.float64]

BUILTIN = "builtin/1"
_COMMENT = r'"""(?s:.*?)"""|' + r"'''(?s:.*?)'''|(?m:^[ \t]*(?:#|//|/\*|\*|--).*$)"


def builtin_scores(texts: Sequence[str]) -> Scores:
    """[documents] scores in [0, 1]; a higher one is better. A pure function of each text."""
    import polars as pl

    text = pl.col("text")
    white = text.str.replace_all(r"\s+", "")
    lines = text.str.strip_chars("\n").str.split("\n")
    n_chars = text.str.len_chars().clip(1)
    parts = {
        "comments": text.str.extract_all(_COMMENT).list.join("").str.len_chars() / n_chars / 0.2,
        "lines": 1
        - text.str.extract_all(r"(?m:^.{101,}$)").list.join("").str.len_chars() / n_chars,
        "letters": white.str.replace_all(r"\P{L}+", "").str.len_chars()
        / white.str.len_chars().clip(1)
        / 0.75,
        "repetition": lines.list.n_unique() / lines.list.len(),
    }
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String})
    shares = frame.select(**{name: part.clip(0, 1) for name, part in parts.items()})
    # Column by column: how numpy sums along rows depends on how many rows there are.
    total = sum((shares[name].to_numpy() for name in parts), start=np.zeros(len(texts)))
    return np.round(total / len(parts), 6)


def read_scores(spec: str, n_documents: int) -> Scores:
    """The score file of `data.quality_scores`: a number for each document, in their order.

    Raises:
        InputError: missing, of an unknown type, without a score for each document, or with one
            that is not a finite number.
    """
    path = Path(spec).expanduser()
    where = f"data.quality_scores = {spec}"
    if path.suffix not in _SCORE_FILES:
        raise InputError(f"{where}: expected a file of type {', '.join(_SCORE_FILES)}.")
    try:
        values = _SCORE_FILES[path.suffix](path)
        scores: Scores = np.asarray(
            [np.nan if value is None else value for value in values], np.float64
        )
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror or error}.") from None
    except Exception as error:
        raise InputError(f"{where}: not a list of scores ({error}).") from None
    if scores.shape != (n_documents,):
        raise InputError(
            f"{where}: {len(scores)} scores, and the corpus has {n_documents} documents. It needs "
            "one a document, in the order of the files' names and of the documents in each file."
        )
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0]) + 1
        raise InputError(f"{where}: score {row} is not a finite number.")
    return scores


class BucketPlaces:
    """The buckets of a corpus by their names, each with a place, in the order of the first
    documents."""

    MOST = 64
    """Published corpora have up to 20; a field of which each row has its own value is no bucket."""

    def __init__(self, spec: str) -> None:
        """Args:
        spec: `data.quality_bucket`, for messages.
        """
        self.spec = spec
        self.names: dict[str, int] = {}

    def of(self, names: Sequence[str]) -> Scores:
        """[documents] the place of each document's bucket.

        Raises:
            InputError: there are too many buckets.
        """
        places = [self.names.setdefault(name, len(self.names)) for name in names]
        if len(self.names) > self.MOST:
            some = ", ".join(f'"{name}"' for name in islice(self.names, 3))
            raise InputError(
                f'data.quality_bucket = "{self.spec}": more than {self.MOST} names ({some}, ...). '
                "Name what says in which of a few buckets a document is; data.quality_key takes "
                "scores."
            )
        return np.array(places, np.float64)


def _text_column(path: Path) -> list[float]:
    return [float(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _json_column(path: Path) -> list[Any]:
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    return [row["score"] if isinstance(row, dict) else row for row in rows]


def _table_column(path: Path) -> list[Any]:
    from workbench.runs.tables import read_csv, read_parquet

    frame = read_csv(path) if path.suffix == ".csv" else read_parquet(path)
    name = frame.columns[0] if frame.width == 1 else "score"
    return frame[name].to_list()


_SCORE_FILES = {
    ".txt": _text_column,
    ".jsonl": _json_column,
    ".csv": _table_column,
    ".parquet": _table_column,
    ".npy": lambda path: np.load(path, allow_pickle=False).tolist(),
}


def tier_of(
    scores: Scores,
    digests: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    training: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """[documents] place in `TIERS`, -1 for documents that are not for training.

    Documents are sorted by score, equal scores by digest, and the row of their tokens is cut in
    three. A document belongs where its middle lies, so tiers differ in size by less than the
    longest document.
    """
    chosen = np.flatnonzero(training)
    order = chosen[np.lexsort((digests[chosen, 1], digests[chosen, 0], scores[chosen]))]
    ends = np.cumsum(lengths[order])
    total = int(ends[-1]) if len(ends) else 0
    twice_middle = 2 * ends - lengths[order]
    tiers = np.full(len(scores), -1, dtype=np.int8)
    tiers[order] = np.minimum(twice_middle * len(TIERS) // max(2 * total, 1), len(TIERS) - 1)
    return tiers
