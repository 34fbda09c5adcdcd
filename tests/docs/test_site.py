"""The documentation builds as a site, strictly, and its pages ask nothing of other servers."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.command_lines import ROOT

HOOK = runpy.run_path(str(ROOT / "docs" / "site.py"))
links_in_site, notebook_page = HOOK["links_in_site"], HOOK["notebook_page"]
LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=[\"']?([^\"'\s>]+)"
    r"|<link\b[^>]*?\bhref=[\"']?([^\"'\s>]+)",
)
"""What a browser fetches for a page, without links."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder


def outside(text: str) -> list[str]:
    """The addresses of other servers among what a page loads."""
    found = [a or b for a, b in LOADED.findall(text)]
    return [address for address in found if re.match(r"(?:https?:)?//", address)]


def test_no_page_loads_anything_from_another_server(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not outside(page.read_text()), page.name
    for style in site.rglob("*.css"):
        assert not re.findall(r"url\([\"']?(?:https?:)?//|@import", style.read_text()), style.name
    assert outside('<script src="https://unpkg.com/x.js"></script>')
    assert outside('<link rel="stylesheet" href="//fonts.example/css">')


def test_every_page_of_docs_is_in_the_navigation() -> None:
    # mkdocs.yml asks for that (`omitted_files`), and names no page twice.
    text = (ROOT / "mkdocs.yml").read_text()
    named = re.findall(r": ([\w/-]+\.md)$", text, re.MULTILINE)
    assert len(named) == len(set(named))
    there = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    there |= {p.relative_to(ROOT / "docs").with_suffix(".md")
              for p in (ROOT / "docs").rglob("*.ipynb")}  # fmt: skip
    assert not {path.as_posix() for path in there} - set(named)


def test_readme_and_its_figure_are_the_site_s_home(site: Path) -> None:
    home = (site / "index.html").read_text()
    assert "quickstart.svg" in home
    assert 'href="start.html"' in home
    assert "docs/start" not in home


def test_a_link_between_files_leads_to_the_page_of_the_site() -> None:
    present = {"index.md", "data.md", "app/curves.png", "notebooks/first.md"}

    def in_site(text: str) -> str:
        return links_in_site(text, "docs/notebooks/first.ipynb", "notebooks/first.md", present)

    assert in_site("[a](../data.md#seeds)") == "[a](../data.md#seeds)"
    assert in_site("[a](../../README.md#begin)") == "[a](../index.md#begin)"
    assert in_site("[a](first.ipynb)") == "[a](first.md)"
    assert in_site("![a](../app/curves.png)") == "![a](../app/curves.png)"
    assert in_site("[`a`](../../pyproject.toml), [b](https://b)") == "`a`, [b](https://b)"
    assert in_site("[a](../nowhere.md)") == "[a](../nowhere.md)"
    assert in_site("```\n[a](../../README.md)\n```\n") == "```\n[a](../../README.md)\n```\n"


def test_a_notebook_is_a_page_with_what_it_wrote() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# First\n"]},
        {"cell_type": "code", "source": ["1 + 1"],
         "outputs": [{"data": {"text/plain": ["2"]}}, {"data": {"image/png": "QUJD"}}]},
    ]  # fmt: skip
    page = notebook_page({"cells": cells})
    assert page.split("\n\n") == [
        "# First", "```python\n1 + 1\n```", "```text\n2\n```",
        "![](data:image/png;base64,QUJD)\n",
    ]  # fmt: skip


def test_code_in_a_table_has_its_bars_alone(site: Path) -> None:
    assert "\\|" not in re.sub(r"<pre.*?</pre>", "", (site / "commands.html").read_text())


CFF_REQUIRED = {"authors", "cff-version", "message", "title"}
CFF_KEYS = CFF_REQUIRED | {
    "abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license",
    "license-url", "preferred-citation", "references", "repository", "repository-artifact",
    "repository-code", "type", "url", "version",
}  # fmt: skip
"""What a reference may have, by the Citation File Format's schema guide, version 1.2.0."""


def test_the_reference_for_citations_is_valid_and_has_this_version() -> None:
    from workbench import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
    assert citation["license"] == "Apache-2.0"
    assert f"version = {{{__version__}}}" in (ROOT / "docs" / "cite.md").read_text()
    assert set(citation) >= CFF_REQUIRED
    assert set(citation) <= CFF_KEYS
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    for author in citation["authors"]:
        assert "name" in author or {"family-names", "given-names"} & set(author), author
    texts = [citation["message"], citation["title"], citation["abstract"], *citation["keywords"]]
    assert all(isinstance(text, str) and text for text in texts)
    assert len(set(citation["keywords"])) == len(citation["keywords"]) > 0
