"""The page of the Python API, from the signatures and docstrings of `import workbench`."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, TypeGuard

import workbench as wb
from workbench.api import words

SECTIONS: dict[str, tuple[str, ...]] = {
    "Train and plan": ("run", "plan", "forecast", "Recipe", "RunReport", "Planned"),
    "Ask": ("Results", "Study", "Run", "Figure"),
    "Answers": (
        "StudyAnswer", "Answer", "Crossovers", "Crossover", "Trends", "Outcome", "Difference",
        "Effect", "Variant", "CrossoverEffect",
        "EffectiveData", "Onsets", "Onset", "Backtest", "BacktestScore", "Forecast", "Forecasted",
    ),
    "What to train next": (
        "NextRun", "NextRunsForLaw", "NextRunForLaw", "Advice", "AdvisedOption",
    ),
    "FLOPs": (
        "training_flops", "TrainingFlops", "generation_flops", "GenerationFlops", "BestFlops",
    ),
    "Several people's exports": ("board", "Board"),
    "Scaling laws": ("fit_table", "Fits", "Predictions", "Prediction"),
    "Curves of other programs": ("import_curves", "Imported"),
    "Errors": ("WorkbenchError", "InputError"),
}  # fmt: skip
_METHODS = {"Recipe": ("load",), "RunReport": ("summary",)}
"""Of classes that have more than the API is about: what is public of them here."""
_PARTS = re.compile(r"^(Args|Returns|Raises):\s*$", re.MULTILINE)


def api_reference(note: str) -> str:
    """The page as Markdown.

    Args:
        note: the comment that says how it is written.
    """
    lines = [
        "# Python API", "", note, "",
        "```python", "import workbench as wb", "```", "",
        "The import takes no time: what a name needs is imported when it is first used, and torch",
        "only by what trains or loads a model. Paths are `str` or `Path`, frames are Polars",
        "(`.to_pandas()` where Pandas is wanted), charts Altair. An answer is a sequence of frozen",
        "dataclasses, with `frame` beside them, `notes` to read with it, and `document`, what the",
        "command prints with `--format json`. What is wrong, a value of a wrong",
        "type too, is a `wb.InputError` that names the parameter; 2e5 is a whole number too.",
        "[Notebooks](notebooks/first-study.ipynb) show it at work.", "",
        *_words(),
    ]  # fmt: skip
    for title, names in SECTIONS.items():
        lines += [f"## {title}", ""]
        for name in names:
            value = getattr(wb, name)
            node = _node(value)
            lines += _class(name, node) if isinstance(node, ast.ClassDef) else _function(name, node)
    return "\n".join(lines).rstrip() + "\n"


def _node(value: Any) -> Any:
    return ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]


def _words() -> Iterator[str]:
    """What the words in signatures stand for."""
    yield from ("| in a signature | stands for |", "|---|---|")
    body = ast.parse(inspect.getsource(words)).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign):
            literals = ast.unparse(node.value)
            meaning = _text(after) or ", ".join(
                f"`{word}`" for word in re.findall(r"'(.+?)'", literals)
            )
            yield f"| `{ast.unparse(node.targets[0])}` | {meaning} |"
    yield from ("| `Say` | what is called with each line of progress, such as `print` |", "")


def _text(node: Any) -> str:
    """The text of a docstring after a field or a constant, or nothing."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return " ".join(str(node.value.value).split()) if is_text else ""


def _function(name: str, node: ast.FunctionDef, level: str = "###") -> list[str]:
    plain = [arg for arg in node.args.args if arg.arg not in ("self", "cls")]
    node.args.args = plain
    shown = f"{name}({ast.unparse(node.args)})"
    returns = ast.unparse(node.returns) if node.returns is not None else ""
    shown += f" -> {returns}" if returns else ""
    shown = re.sub(
        r"'((?!last|best)[A-Z][\w.]*(?: \|.*?)?|pl\.DataFrame|alt\.\w+|str \|[^']*)'", r"\1", shown
    )
    lines = [f"{level} `{name}`", "", "```python", *_wrapped(shown), "```", ""]
    return [*lines, *_documentation(ast.get_docstring(node) or "")]


def _wrapped(signature: str) -> list[str]:
    """A signature in lines of at most 88 signs."""
    if len(signature) <= 88:
        return [signature]
    head, _, rest = signature.partition("(")
    inside, _, tail = rest.rpartition(")")
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(inside):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            parts.append(inside[start:place].strip())
            start = place + 1
    parts.append(inside[start:].strip())
    return [f"{head}(", *(f"    {part}," for part in parts), f"){tail}"]


def _class(name: str, node: ast.ClassDef) -> list[str]:
    lines = [f"### `{name}`", "", *_documentation(ast.get_docstring(node) or "")]
    fields = list(_fields(node))
    if fields:
        lines += ["| | | |", "|---|---|---|", *fields, ""]
    for part in node.body:
        if not isinstance(part, ast.FunctionDef) or part.name.startswith("_"):
            continue
        if part.name not in _METHODS.get(name, (part.name,)) or _is_overload(part):
            continue
        if _is_property(part):
            continue
        lines += _function(f"{name}.{part.name}", part, "####")
    return lines


def _is_overload(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(one) == "overload" for one in node.decorator_list)


def _fields(node: ast.ClassDef) -> Iterator[str]:
    """Fields and properties as rows: name, type, meaning."""
    for part, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield _row(part.target.id, part.annotation, _text(after))
        elif _is_property(part):
            yield _row(part.name, part.returns, " ".join((ast.get_docstring(part) or "").split()))


def _is_property(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    """Whether it is a public property."""
    return (
        isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and any("property" in ast.unparse(one) for one in node.decorator_list)
    )


def _row(name: str, kind: ast.expr | None, meaning: str) -> str:
    shown = ast.unparse(kind).strip("'") if kind is not None else ""
    cells = (f"`{name}`", f"`{shown}`", meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _documentation(text: str) -> list[str]:
    """A docstring as Markdown: paragraphs, then its parts as lists."""
    pieces = _PARTS.split(text)
    lines = [pieces[0].strip(), ""] if pieces[0].strip() else []
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        lines += [f"*{title}*", "", *_items(textwrap.dedent(body).strip("\n")), ""]
    return lines


def _items(body: str) -> list[str]:
    """`name: text` with its following lines, as list items; other text as it is."""
    items: list[str] = []
    for line in body.splitlines():
        if re.match(r"\w[\w*, ]*:( |$)", line):
            name, _, rest = line.partition(":")
            items.append(f"- `{name}`: {rest.strip()}")
        elif items:
            items[-1] += f" {line.strip()}"
        else:
            items.append(line.strip())
    return items
