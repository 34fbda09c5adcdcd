"""Write five small corpora from what this Python environment holds, for `cpu/five-corpora`.

    python recipes/cpu/local_corpora.py [FOLDER]

One JSON line a document: Python code (numpy), English docstrings (the standard library), C++
headers (torch), type stubs (mypy's typeshed) and package descriptions. Nothing is downloaded.
The default folder is corpora/, where the recipe looks.
"""

import ast
import importlib.util
import json
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

MOST_CHARACTERS = 3_000_000  # a corpus: far more than a study of 12,800 unique bytes needs
LONGEST = 8_000  # a document: cloze takes its endings from several held-out ones


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, documents in (
        ("code", _files("numpy", "*.py")),
        ("docstrings", _docstrings()),
        ("headers", _files("torch", "include/ATen/**/*.h")),
        ("stubs", _files("mypy", "typeshed/**/*.pyi")),
        ("readmes", _descriptions()),
    ):
        count = characters = 0
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for text in documents:
                text = text[:LONGEST]
                file.write(json.dumps({"text": text}) + "\n")
                count, characters = count + 1, characters + len(text)
                if characters > MOST_CHARACTERS:
                    break
        print(f"{folder / name}.jsonl: {count} documents, {characters:,} characters")


def _files(package: str, pattern: str) -> Iterator[str]:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        sys.exit(f"{package} is not installed: run `make setup`.")
    for path in sorted(Path(found.origin).parent.rglob(pattern)):
        text = path.read_text(encoding="utf-8", errors="ignore")
        if len(text) > 500:
            yield text


def _docstrings() -> Iterator[str]:
    """The docstrings of each module of the standard library as one document."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = [ast.get_docstring(n) for n in ast.walk(tree) if isinstance(n, owners)]
        text = "\n\n".join(doc for doc in found if doc)
        if len(text) > 500:
            yield text


def _descriptions() -> Iterator[str]:
    """What installed packages say about themselves."""
    for one in sorted(distributions(), key=lambda d: d.metadata["Name"].lower()):
        text = one.metadata.get_payload()
        if isinstance(text, str) and len(text) > 500:
            yield text


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "corpora"))
