"""The examples of docs/formats.md are corpora that are read, from the tests' own files."""

import re
from pathlib import Path

import pytest

from tests.data.read import texts_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "formats.md").read_text()
TABLE = PAGE[PAGE.index("## Corpora") : PAGE.index("**Folders** are searched")]


@pytest.mark.parametrize("example", sorted(set(re.findall(r"tests/data/[\w./-]+", TABLE))))
def test_an_example_is_read(example: str) -> None:
    assert len(texts_of(ROOT / example)) >= 80
