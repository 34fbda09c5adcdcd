"""Further tables of a study, as a notes file asks for them."""

from pathlib import Path
from typing import Any

import pytest

from tests.made_runs import make_crossing_seeds, run_maker
from workbench.analysis.difference import difference_table_row, differences
from workbench.errors import InputError
from workbench.report.asked_tables import KINDS, AskedTable
from workbench.report.markdown import write_markdown
from workbench.store import ingest


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables") / "results"
    make_crossing_seeds(run_maker(folder), 150)
    ingest(folder)
    return folder


def test_a_table_has_the_cells_of_its_command_and_is_titled_by_it(results: Path) -> None:
    asked = AskedTable("difference", {"at": "best", "challenger": "training.objective = mdlm"})
    title, rows, notes = asked.made(results, "made")
    assert title == (
        "`workbench difference made --at best --challenger 'training.objective = mdlm'`"
    )
    side = {"training.objective": "mdlm"}
    asked_in_python = differences(results, "made", "val_loss", "best", challenger=side)
    own = [difference_table_row(row) for row in asked_in_python]
    assert [list(row.values()) for row in rows] == [list(row.values()) for row in own]
    assert any("documents (crossed)" in note for note in notes)


@pytest.mark.parametrize("kind", ["effects", "variants"])
def test_effects_are_tables_too(kind: str, results: Path) -> None:
    title, rows, _ = AskedTable(kind).made(results, "made")
    assert title.startswith("`workbench effects made")
    assert len({tuple(row) for row in rows}) == 1, "each row has the same columns"


def test_a_study_has_its_tables_in_the_document(results: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.toml"
    notes.write_text('[made]\nagrees = "It does."\n[[made.tables]]\nof = "variants"\nat = "last"\n')
    text = write_markdown(results, ["made"], tmp_path / "s.md", notes=notes).read_text()
    title = "`workbench effects made --show variants --at last`:\n\n| configuration |"
    assert title in text
    assert text.index(title) < text.index("**Agrees with the claim.**")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[[made.tables]]\nof = "effect"', r"made.tables\[1\].of: expected one of difference"),
        ('[[made.tables]]\nof = "effects"\nmetrik = "a"', "metrik: unknown, did you mean"),
        ('[[made.tables]]\nof = "effects"\nat = 3', r"tables\[1\].at = 3: expected a text"),
        ('[made]\ntables = "effects"', r"expected \[\[made.tables\]\]"),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_its_place(
    table: str, message: str, results: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.toml"
    notes.write_text(table)
    with pytest.raises(InputError, match=message):
        write_markdown(results, ["made"], tmp_path / "s.md", notes=notes)
    assert not (tmp_path / "s.md").exists()


def test_every_kind_names_a_command_that_takes_its_options() -> None:
    from typer.main import get_command

    from workbench.cli import app

    commands: Any = get_command(app).commands  # type: ignore[attr-defined]
    for kind in KINDS.values():
        command = commands[kind.command.split()[0]]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {f"--{option}" for option in kind.options} <= known
