"""The studies that ship: small, whole, of finished runs, and of nobody's machine."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.importing.importer import import_runs
from workbench.metrics import OF_TRAINING
from workbench.runs.studies import studies_of
from workbench.store import ingest, query
from workbench.store.publish import without_folders
from workbench.store.shipped import shipped_studies

SIX = {
    "quickstart", "cpu-figure-01", "cpu-figure-03", "cpu-loss-weighting", "cpu-cloze-accuracy",
    "cpu-strongest-ar",
}  # fmt: skip


def shipped(sql: str) -> list[tuple[object, ...]]:
    return query(shipped_studies(), sql).rows()


def test_the_dataset_is_small() -> None:
    files = [path for path in shipped_studies().rglob("*") if path.is_file()]
    studies = shipped("FROM studies")
    assert sum(path.stat().st_size for path in files) < 1_000_000 * len(studies)
    assert all(path.stat().st_size < 1_000_000 for path in files)


def test_it_has_finished_runs_with_what_evaluations_measured() -> None:
    studies = {name for (name,) in shipped("SELECT study FROM studies")}
    assert SIX | {"cpu-scaling-law", "reference"} <= studies
    assert shipped("SELECT DISTINCT state FROM runs") == [("finished",)]
    assert shipped("FROM study_runs ANTI JOIN runs USING (run_id)") == []
    assert shipped("FROM runs ANTI JOIN study_runs USING (run_id)") == []
    assert shipped("FROM runs ANTI JOIN metrics USING (run_id)") == []
    assert shipped(f"FROM metrics WHERE metric IN {OF_TRAINING}") == []
    assert shipped("SELECT DISTINCT protocol FROM runs WHERE NOT imported") == [(2,)]


def test_every_study_of_the_documentation_ships() -> None:
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text()
    studies = {name for (name,) in shipped("SELECT study FROM studies")}
    assert set(re.findall(r"^## (cpu-\S+)$", page, re.MULTILINE)) <= studies


def test_nothing_in_it_is_a_path_a_host_or_a_user() -> None:
    for table in ("studies", "study_runs", "runs", "fits", "crossovers"):
        for line in query(shipped_studies(), f"FROM {table}").write_ndjson().splitlines():
            for text in json.loads(line).values():
                assert not isinstance(text, str) or text == without_folders(text)
            for key in ("host", "command", "platform", "/tmp", "/home", "/root", "@"):
                assert not re.search(rf'["\\]{re.escape(key)}', line), (table, key)


def test_the_reference_in_it_is_the_shipped_table(tmp_path: Path) -> None:
    import_runs("reference", None, tmp_path)
    columns = "run_id, tokens, metric, value"
    members = "run_id IN (SELECT run_id FROM study_runs WHERE study = 'reference')"
    rows = f"SELECT {columns} FROM metrics WHERE {members} ORDER BY ALL"
    assert shipped(rows) == query(tmp_path, rows).rows()


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["sql", "SELECT count(*) FROM runs"], ["count"]),
        (["crossover", "cpu-figure-01"], ["over 5 seeds.", "no values of single documents"]),
        (["difference", "cpu-figure-01"], ["over 5 seeds", "no values of single documents"]),
        (["effective-data", "cpu-figure-01"], ["over 5 seeds"]),
        (["outcomes", "cpu-figure-01"], ["over 5 seeds", "no values of single documents"]),
        (["crossover", "reference"], ["imported curves"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_answer_from_it_says_what_its_intervals_run_over(
    arguments: list[str], lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*arguments, "--from", "shipped"], catch_exceptions=False)
    assert done.exit_code == 0
    for line in lines:
        assert line in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_studies_that_are_run_in_a_checkout_do_not_meet_the_shipped_ones(tmp_path: Path) -> None:
    """In a checkout both lie below `results`, the default results folder."""
    below = tmp_path / shipped_studies().relative_to(shipped_studies().parents[1])
    shutil.copytree(shipped_studies(), below)
    results = tmp_path / "results"
    assert studies_of(results) == {}
    assert ingest(results).problems == []
