"""The documents name files that are there."""

import re
from pathlib import Path

import pytest

from tests.docs.command_lines import PAGES, ROOT

FOLDERS = "workbench|tests|app|benchmarks|recipes|docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_that_a_document_names_exist(page: Path) -> None:
    named = re.findall(rf"(?<![\w/.(-])((?:{FOLDERS})/[\w/.-]+)", page.read_text())
    for name in named:
        assert "NAME" in name or (ROOT / name.rstrip(".")).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, link
