"""Packages with entry points, as pip leaves them in a folder: metadata and modules, no build."""

from pathlib import Path

Groups = dict[str, dict[str, str]]
"""Entry points by kind ("laws") and name."""


def write_package(
    folder: Path,
    name: str,
    entry_points: Groups,
    modules: dict[str, str] | None = None,
    *,
    version: str = "1.0",
) -> None:
    """Lay an installed package into a folder that is on `sys.path`."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for kind, named in entry_points.items():
        lines += [f"[workbench.{kind}]", *(f"{key} = {value}" for key, value in named.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module, text in (modules or {}).items():
        (folder / f"{module}.py").write_text(text)


OBJECTIVE = """
from workbench.recipe.objectives import ObjectiveFacts, ObjectivePlugin

DECLARED = ObjectivePlugin(
    numbers={numbers},
    facts=ObjectiveFacts(
        name="{name}", display_name="a test", implementation="not_there:Objective",
        attention="bidirectional", estimator="nelbo", bound=True, samplers=("ancestral",),
    ),
)
"""


def objective_module(name: str = "extra", numbers: int = 1) -> str:
    """A declaration of an objective whose code cannot be imported: whoever needs it, fails."""
    return OBJECTIVE.format(name=name, numbers=numbers)
