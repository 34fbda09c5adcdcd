"""Words that mean something here alone have no place in what users read."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in (
        "api", "commands", "figures", "questions", "recipe-reference", "start", "store",
    )),
]  # fmt: skip
"""Those that are written from the code, and those that a reader meets first."""
PRIVATE = re.compile(r"\b(?:told|elsewhere|said|apart|kept|held(?![- ]out))\b", re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_no_private_words(page: Path) -> None:
    found = [line for line in page.read_text().splitlines() if PRIVATE.search(line)]
    assert not found
