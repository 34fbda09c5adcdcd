"""The generated pages of docs/ say what the code says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from workbench.recipe.json_schema import recipe_schema

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["recipe-reference.md", "commands.md", "store.md", "api.md"])
def test_a_page_is_what_the_code_says(name: str, generate: ModuleType) -> None:
    written = (DOCS / name).read_text()
    assert written == generate.pages()[name], f"docs/{name} has drifted: run `make docs`."


def test_every_table_of_a_recipe_has_a_section_and_every_key_a_sentence(
    generate: ModuleType,
) -> None:
    parts = recipe_schema()["$defs"]
    assert set(generate.TABLES.values()) == set(parts) - {"LauncherConfig"}
    for name, part in parts.items():
        for key, value in part["properties"].items():
            described = value.get("description", "")
            assert described.endswith("."), f"{name}.{key} needs a description: {described!r}"


def test_the_terminals_width_changes_nothing(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = generate.pages()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERMINAL_WIDTH", "40")
    assert generate.pages() == before


def test_no_page_names_a_path_of_this_machine(generate: ModuleType) -> None:
    for text in generate.pages().values():
        assert str(DOCS.parent) not in text
        assert str(Path.home()) not in text or str(Path.home()) == "/"
