"""Write the reference pages of docs/ from the code they describe: `python docs/generate.py`.

recipe-reference.md has every key of a recipe, from the JSON Schema that `workbench schema` prints.
commands.md has every command, argument and option, from the command line itself.
api.md has every public name of `import workbench`, from its docstring (api_reference.py).
store.md has every table and column, from the schema of the store.
"""

import json
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main

from workbench.cli import app
from workbench.recipe.json_schema import recipe_schema
from workbench.store.schema import TABLES as STORE_TABLES
from workbench.store.schema import VIEWS

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from api_reference import api_reference  # noqa: E402

NOTE = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->"
# The tables of a recipe: what stands in brackets, and the name of its part of the schema.
TABLES = {
    "[study]": "StudyConfig",
    "[data]": "DataConfig",
    "[[data.mixture]]": "MixtureSource",
    "[data.anneal]": "AnnealConfig",
    "[[data.validation_extra]]": "ValidationSet",
    "[model]": "ModelConfig",
    "[training]": "TrainingConfig",
    "[evaluation]": "EvaluationConfig",
    "[evaluation.task_files.NAME]": "TaskFile",
    "[parallelism]": "ParallelismConfig",
    "[compare]": "CompareConfig",
    "[launcher.local]": "LocalConfig",
    "[launcher.slurm]": "SlurmConfig",
    "[tracking]": "TrackingConfig",
}
SWEEP = """## `[sweep]`

Every combination of the lists is a run; the last key runs fastest. A key is dotted and in quotes,
such as `"training.seed" = [0, 1, 2]`: any of those of `[data]`, `[model]`, `[training]`,
`[evaluation]` and `[parallelism]`. `seed = [0, 1, 2]` sets `data.seed` and `training.seed`
together.

| key | type | default | allowed | |
|---|---|---|---|---|
| `"TABLE.KEY"` | list | one value | values of that key | Values that the runs take in turn. |
| `zip` | list of tables | none | lists of one length | `[[sweep.zip]]`: values that go in pairs. |
| `exclude` | list of tables | none | swept values | `[[sweep.exclude]]`: what to omit; lists too. |
"""


VIEW_COLUMNS = (
    "Its columns are those of [`metrics`](#metrics), and the run's `objective`, `n_params`, "
    "`unique_tokens`, `total_tokens`, `seed`, `size`, `state` and `protocol`."
)
PLACEHOLDERS = [
    "Words in capitals in a command stand for something of yours:",
    "",
    "| | |",
    "|---|---|",
    "| `RECIPE` | a `.toml` file, or the name of a recipe that ships, such as `quickstart` |",
    "| `STUDY` | the name of a study: `name` in its recipe |",
    "| `RUN` | a run's id, or the beginning of it; `workbench status` shows ids |",
    "| `DIR`, `FILE` | a path |",
    "",
    "What stands in brackets, such as `[--step N]`, may be left out.",
]


def table(head: str, rows: list[tuple[str, ...]]) -> list[str]:
    """A Markdown table; a bar in a cell is no border."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [head, "|" + "---|" * head.count(" |"), *(f"| {' | '.join(row)} |" for row in cells)]


def branches(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What a value can be, absence apart."""
    found = schema.get("anyOf", schema.get("allOf", [schema]))
    return [branch for branch in found if branch.get("type") != "null"]


def in_toml(value: object) -> str:
    """A choice as recipes have it; words are without their quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def kinds(branch: dict[str, Any]) -> list[str]:
    """JSON's types of a branch; of choices without a type, those of the choices."""
    if "type" in branch or "enum" not in branch:
        return [branch.get("type", "string")]
    return ["boolean" if isinstance(value, bool) else "string" for value in branch["enum"]]


def type_name(schema: dict[str, Any]) -> str:
    """A type in TOML's words."""
    names = []
    for branch in branches(schema):
        if "$ref" in branch:
            names.append("table")
        elif branch.get("type") == "array":
            items = branch.get("items") or branch["prefixItems"][0]
            names.append(f"list of {type_name(items)}s")
        else:
            words = {"number": "float", "object": "table"}
            names += [words.get(kind, kind) for kind in kinds(branch)]
    return " or ".join(dict.fromkeys(names))


def allowed(schema: dict[str, Any]) -> str:
    """Limits, choices and patterns of a value."""
    signs = (
        ("exclusiveMinimum", ">"), ("minimum", ">="), ("exclusiveMaximum", "<"), ("maximum", "<="),
    )  # fmt: skip
    parts: list[str] = []
    for branch in branches(schema):
        if "enum" in branch:
            parts.append(", ".join(f"`{in_toml(value)}`" for value in branch["enum"]))
        if "const" in branch:
            parts.append(f"`{branch['const']}`")
        limits = [f"{sign} {branch[key]:g}" for key, sign in signs if key in branch]
        # 2**63 is written as sign and power: nobody reads 19 digits.
        parts += [limit.replace("9.22337e+18", "2^63") for limit in limits]
        if "pattern" in branch:
            parts.append(f"`{branch['pattern']}`")
        items = branch.get("items") or (branch.get("prefixItems") or [None])[0]
        if isinstance(items, dict) and "$ref" not in items and allowed(items):
            parts.append(f"each {allowed(items)}")
    return ", ".join(parts)


def default(name: str, schema: dict[str, Any], required: list[str]) -> str:
    """A default as TOML writes it."""
    if name in required:
        return "required"
    value = schema.get("default")
    if value is None or isinstance(value, dict):
        return "none"
    return f"`{json.dumps(value)}`"


def recipe_reference() -> str:
    """The page of all keys of a recipe."""
    schema = recipe_schema()
    lines = ["# Keys of a recipe", "", NOTE, ""]
    lines += [
        "A recipe is a TOML file. `[study]`, `[data]`, `[model]` and `[training]` are required.",
        "Combinations of keys are checked too, in `workbench/recipe/check.py`.",
        "[Write a study](studies-of-your-own.md) has an example.",
        "",
    ]
    for title, name in TABLES.items():
        part = schema["$defs"][name]
        about = re.sub(r"^`[^`]+`: ", "", " ".join(part["description"].split()))
        about = about[0].upper() + about[1:]
        either = [f"`{key}`" for rule in part.get("anyOf", ()) for key in rule["required"]]
        required = part.get("required", [])
        rows: list[tuple[str, ...]] = [
            (
                f"`{key}`",
                type_name(value),
                f"one of {', '.join(either)}"
                if f"`{key}`" in either
                else default(key, value, required),
                allowed(value),
                value.get("description", ""),
            )
            for key, value in part["properties"].items()
        ]
        lines += [f"## `{title}`", "", about, ""]
        lines += [*table("| key | type | default | allowed | |", rows), ""]
    return "\n".join(lines) + "\n" + SWEEP


def commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command below a group, with its whole name."""
    for name, command in group.commands.items():
        whole = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from commands(command, whole)
        else:
            yield whole, command


def value_of(parameter: Any) -> str:
    """What an option takes: its choices, its metavar, or its type and limits."""
    annotation = parameter.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{choice.value}`" for choice in annotation)
    words = {int: "integer", float: "number", Path: "path", str: "text"}
    value = parameter.metavar or words.get(annotation, "text")
    if parameter.min is not None:
        value += f", >= {parameter.min:g}"
    if parameter.max is not None:
        value += f", <= {parameter.max:g}"
    return value + (", repeatable" if parameter.multiple else "")


def default_of(parameter: Any) -> str:
    """What holds where an option is not given."""
    preset = parameter.default
    if parameter.required:
        return "required"
    if getattr(parameter, "is_flag", False):
        first = parameter.opts if preset else parameter.secondary_opts
        return f"`{first[0]}`" if first else "off"
    if preset is None or preset in ("", (), []):
        return "none"
    return f"`{getattr(preset, 'value', preset)}`"


def parameter_row(parameter: Any) -> tuple[str, ...]:
    """An argument or an option: name, value, default, help."""
    words = parameter.help or ""
    if parameter.envvar:
        words += f" Or the environment variable `{parameter.envvar}`."
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        return f"`{name}`", "", default_of(parameter), words
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    value = "" if parameter.is_flag else value_of(parameter)
    return names, value, default_of(parameter), words


def command_reference() -> str:
    """The page of all commands."""
    root = typer.main.get_command(app)
    lines = ["# Commands", "", NOTE, ""]
    lines += [
        "`workbench --debug COMMAND` shows tracebacks, `workbench --version` the version.",
        "`workbench --install-completion` lets your shell complete commands, options, studies,",
        "runs, recipes and metrics. A run may be named by the beginning of its id. Whole numbers",
        "may be written `2e9` or `1_000`.",
        "",
        *PLACEHOLDERS,
        "",
    ]
    for name, command in commands(root, "workbench"):
        rows = [parameter_row(p) for p in command.params if p.name != "help"]
        lines += [f"## `{name}`", "", (command.help or "").strip(), ""]
        if rows:
            lines += [*table("| argument or option | value | default | |", rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def store_reference() -> str:
    """The page of the store's tables and views."""
    lines = ["# Tables of the store", "", NOTE, ""]
    lines += [
        "`results/workbench.duckdb` has these tables, and `workbench sql --schema` shows the same.",
        "A dataset of `workbench export parquet` has them too ([its layout](results.md#layout)).",
        "A missing value is NULL, never 0.",
        "",
        "The views `curves`, `final` and `best` answer most questions.",
        "",
    ]
    for name, (comment, _) in VIEWS.items():
        lines += [f"## `{name}`", "", "A view. " + comment, ""]
        lines += [VIEW_COLUMNS, ""]
    for one in STORE_TABLES:
        rows: list[tuple[str, ...]] = [
            (f"`{column.name}`", column.type, column.comment) for column in one.columns
        ]
        lines += [f"## `{one.name}`", "", one.comment, ""]
        lines += [*table("| column | type | |", rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def pages() -> dict[str, str]:
    """The generated files of docs/, by name."""
    return {
        "recipe-reference.md": recipe_reference(),
        "commands.md": command_reference(),
        "api.md": api_reference(NOTE),
        "store.md": store_reference(),
    }


if __name__ == "__main__":
    for file, text in pages().items():
        (DOCS / file).write_text(text)
