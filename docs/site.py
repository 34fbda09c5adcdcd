"""What the site of the documentation takes from outside docs/: a hook of MkDocs (mkdocs.yml).

Pages link to each other as files of the repository, so that links work on GitHub. In the site,
README.md, CONTRIBUTING.md, CHANGELOG.md and the example's README are pages too, and notebooks are
shown as pages; links to them are rewritten, and a link to any other file becomes its text.
"""

import json
import posixpath
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/plugin/README.md": "example-plugin.md",
}
"""Files of the repository, and their names in the site."""
LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^)\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The configuration, its `nav` without pages that are not there."""
    config.nav = _present(config.nav or [])
    return config


def _present(nav: list[Any]) -> list[Any]:
    kept = []
    for entry in nav:
        ((title, content),) = entry.items()
        if isinstance(content, list):
            content = _present(content)
        elif content not in OUTSIDE.values() and _source(content) is None:
            continue
        if content:
            kept.append({title: content})
    return kept


def _source(page: str) -> Path | None:
    """The file of docs/ that a page of the site is made from."""
    files = (ROOT / "docs" / page, (ROOT / "docs" / page).with_suffix(".ipynb"))
    return next((file for file in files if file.exists()), None)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """The files of docs/, and the pages that are made from others."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for notebook in sorted((ROOT / "docs").rglob("*.ipynb")):
        page = notebook.relative_to(ROOT / "docs").with_suffix(".md").as_posix()
        content = notebook_page(json.loads(notebook.read_text()))
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page's text, its links as the site needs them."""
    source = {site: file for file, site in OUTSIDE.items()}.get(page.file.src_uri)
    source = source or f"docs/{page.file.src_uri}"
    present = {file.src_uri for file in (*files.documentation_pages(), *files.media_files())}
    return links_in_site(markdown, source, page.file.src_uri, present)


def links_in_site(markdown: str, source: str, page: str, present: Container[str]) -> str:
    """Text of the file `source`, for the page `page` of the site; code is left as it is.

    Args:
        present: the site's pages and figures. A link to another file that is there becomes its
            text; a link to nothing stays, and MkDocs refuses it.
    """

    def rewritten(found: re.Match[str]) -> str:
        target, _, anchor = found["target"].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return found[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        inside = OUTSIDE.get(file) or re.sub(r"\.ipynb$", ".md", file.removeprefix("docs/"))
        if inside not in present and (ROOT / file).exists():
            return found["text"]
        link = posixpath.relpath(inside, posixpath.dirname(page) or ".")
        link += f"#{anchor}" if anchor else ""
        return f"{found['image']}[{found['text']}]({link})"

    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        part if part.lstrip().startswith("```") else LINK.sub(rewritten, _bars(part))
        for part in parts
    )


def _bars(text: str) -> str:
    """Code in tables with its bars as they are: GitHub wants `a\\|b` there, MkDocs `a|b`."""
    rows = re.compile(r"^\|.*\|$", re.MULTILINE)
    code = re.compile(r"`[^`\n]*`")
    return rows.sub(lambda row: code.sub(lambda c: c[0].replace("\\|", "|"), row[0]), text)


def notebook_page(notebook: dict[str, Any]) -> str:
    """A notebook as Markdown: its text, its code, and what it wrote or drew."""
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(text)
        elif cell["cell_type"] == "code" and text:
            parts.append(f"```python\n{text}\n```")
            parts += [shown for output in cell.get("outputs", []) if (shown := _output(output))]
    return "\n\n".join(parts) + "\n"


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f"![](data:image/png;base64,{''.join(data['image/png']).strip()})"
    if "image/svg+xml" in data:
        return "".join(data["image/svg+xml"])
    text = "".join(data.get("text/plain", output.get("text", ""))).strip()
    return f"```text\n{text}\n```" if text else ""
