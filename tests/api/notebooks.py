"""The notebooks of docs/notebooks: their code, and running it without a kernel."""

import ast
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def cells(name: str) -> list[dict[str, Any]]:
    """A notebook's code cells."""
    document = json.loads((FOLDER / f"{name}.ipynb").read_text())
    return [cell for cell in document["cells"] if cell["cell_type"] == "code"]


def run_cells(name: str, **parameters: Any) -> dict[str, Any]:
    """Execute a notebook's cells in this process, in the working folder, and show what each ends
    with as a notebook would; returns its names.

    Args:
        parameters: names to set after the cell that is tagged "parameters".
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells(name):
        tree = ast.parse("".join(cell["source"]))
        last = tree.body[-1]
        shown = isinstance(last, ast.Expr)
        body = tree.body[:-1] if shown else tree.body
        exec(compile(ast.Module(body, []), name, "exec"), names)
        if shown:
            assert isinstance(last, ast.Expr)
            show(eval(compile(ast.Expression(last.value), name, "eval"), names))
        if "parameters" in cell["metadata"].get("tags", ()):
            names |= parameters
    return names


def show(value: Any) -> None:
    """What a notebook makes of the last value of a cell: its picture, table or text."""
    for method in ("_repr_mimebundle_", "_repr_html_", "__repr__"):
        if hasattr(value, method):
            assert getattr(value, method)()
            return
