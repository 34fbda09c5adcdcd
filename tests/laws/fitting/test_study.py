"""A study as a table to fit: which runs are in it, and the notes on them."""

from pathlib import Path

import pytest

from tests.made_runs import MakeRun
from workbench.errors import InputError
from workbench.laws.fitting.study_table import study_table
from workbench.laws.request import get_table, wanted
from workbench.store import ingest


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    for unique in (12_800, 32_000):
        for dropout in (0.1, 0.2):
            keys = [f"data.unique_tokens={unique}", f"model.dropout={dropout}"]
            make_run(f"a{unique}-{dropout}", {10: 3.0, 20: 2.0, 30: 2.5}, overrides=keys)
    ingest(results)
    return results


def test_only_runs_with_a_key_are_in_the_table_and_a_note_names_the_key(study: Path) -> None:
    table = study_table(study, "made", where={"model.dropout": [0.1]})
    assert table.run_ids == ("a12800-0.1", "a32000-0.1")
    assert "only runs with model.dropout = 0.1" in table.notes
    both = study_table(study, "made", at="best", where={"model.dropout": [0.1, 0.2]})
    assert len(both.run_ids) == 4
    assert set(both.loss) == {2.0}


def test_values_are_read_as_recipes_have_them(study: Path) -> None:
    keys = wanted({"model.dropout": "0.1", "data.quality": "high", "training.compile": "false"})
    assert keys == {
        "model.dropout": [0.1], "data.quality": ["high"], "training.compile": [False]
    }  # fmt: skip


def test_a_choice_that_keeps_no_run_is_refused(study: Path) -> None:
    with pytest.raises(InputError, match=r"no run with model.dropout: 0\.5"):
        study_table(study, "made", where={"model.dropout": [0.5]})


def test_a_file_is_not_chosen_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--where is for --study"):
        get_table(tmp_path / "t.csv", None, tmp_path, "val_loss", "final", {}, "kaplan", {"a": [1]})
