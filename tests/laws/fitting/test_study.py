"""A study as a table to fit: which runs are in it, and the notes on them."""

import json
from pathlib import Path

import pytest

from tests.made_runs import MakeRun
from workbench.conditions import Conditions, parse_conditions
from workbench.errors import InputError
from workbench.laws.fitting.clusters import clusters_of
from workbench.laws.fitting.study_table import study_table
from workbench.laws.request import get_table
from workbench.runs.folder import RunFolder
from workbench.store import ingest


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    for unique in (12_800, 32_000):
        for dropout in (0.1, 0.2):
            keys = [f"data.unique_tokens={unique}", f"model.dropout={dropout}"]
            make_run(f"a{unique}-{dropout}", {10: 3.0, 20: 2.0, 30: 2.5}, overrides=keys)
    ingest(results)
    return results


def where(*texts: str) -> Conditions:
    return parse_conditions(texts, "--where")


def test_only_runs_that_meet_conditions_are_in_the_table_and_a_note_names_them(study: Path) -> None:
    table = study_table(study, "made", where=where("model.dropout=0.1"))
    assert table.run_ids == ("a12800-0.1", "a32000-0.1")
    assert "only runs with model.dropout = 0.1" in table.notes
    both = study_table(study, "made", at="best", where=where("model.dropout in (0.1, 0.2)"))
    assert len(both.run_ids) == 4
    assert set(both.loss) == {2.0}


def test_a_table_of_runs_knows_their_columns_and_what_they_differ_in(study: Path) -> None:
    table = study_table(study, "made", at="curve")
    assert table.columns["model.dropout"].tolist() == [0.1] * 3 + [0.2] * 3 + [0.1] * 3 + [0.2] * 3
    assert set(table.columns["seed"]) == {0}
    assert "training.lr" not in table.columns
    clusters = clusters_of(table, None)
    assert clusters is not None
    assert clusters.label.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3  # the points of a run
    text = clusters_of(table, "text")
    assert text is not None
    assert text.label.tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("unique_tokens < 20000 and dropout > 0.1", {"a12800-0.2"}),  # the store's columns
        ("data.unique_tokens = 32000.0", {"a32000-0.1", "a32000-0.2"}),
        ("run_id = a12800-0.1", {"a12800-0.1"}),
        (
            "seed = 0 and state != failed and model.dropout != 0.1 and dropout > 0",
            {"a12800-0.2", "a32000-0.2"},
        ),
        ("model.dropout < 0.15", {"a12800-0.1", "a32000-0.1", "plain"}),
        ("model.dropout = 0.0", {"plain"}),
        ("dropout = 0", {"plain"}),
        ("model.dropout = none", {"plain"}),
        ("training.noise_samples = 1 and model.dropout = 0.2", {"a12800-0.2", "a32000-0.2"}),
    ],
)
def test_keys_and_columns_choose_runs_and_an_absent_key_is_what_it_stands_for(
    study: Path, make_run: MakeRun, condition: str, runs: set[str]
) -> None:
    make_run("plain", {10: 3.0, 20: 2.0}, overrides=["model.dropout=0.0"])
    ingest(study)
    assert set(study_table(study, "made", where=where(condition)).run_ids) == runs


def test_a_choice_that_leaves_no_run_is_refused_with_the_values_that_exist(study: Path) -> None:
    with pytest.raises(InputError, match=r"no row with .*= 0\.5\. model\.dropout is 0\.1, 0\.2\."):
        study_table(study, "made", where=where("model.dropout = 0.5"))
    # A key of recipes that no run here has is known all the same.
    with pytest.raises(InputError, match=r"data\.quality is none"):
        study_table(study, "made", where=where("data.quality = high"))
    with pytest.raises(InputError, match=r"did you mean 'model\.dropout'"):
        study_table(study, "made", where=where("model.dropuot = 0.1"))


def test_a_table_takes_the_same_conditions(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "who,n_params,total_tokens,val_loss,corpus size,dropout\n"
        "ar,1e6,2e7,3.5,small,0.1\nar,2e6,2e7,3.25,small,\nmdlm, 4e6 ,2e7,3.0,very large,0.0\n"
    )

    def losses(*conditions: str) -> list[float]:
        columns = {"objective": "who"}
        chosen = where(*conditions)
        table = get_table(path, None, tmp_path, "val_loss", "final", columns, "kaplan", chosen)
        assert not chosen or any(note.startswith("only rows with") for note in table.notes)
        return list(table.loss)

    assert losses() == [3.5, 3.25, 3.0]
    assert losses("n_params > 1000000") == [3.25, 3.0]
    assert losses("who = ar") == losses("objective = ar") == [3.5, 3.25]  # by either name
    assert losses("val_loss <= 3.25", "loss > 3") == [3.25]
    assert losses("corpus size = very large") == losses('"corpus size" != small') == [3.0]
    assert losses("dropout = none") == [3.25]
    assert losses("dropout = 0") == [3.0]  # a cell with nothing in it is no zero
    with pytest.raises(InputError, match=r"t\.csv: no column whom, did you mean 'who'\?"):
        losses("whom = ar")
    with pytest.raises(InputError, match="who is ar, mdlm"):
        losses("who = block")


@pytest.fixture
def two(results: Path, make_run: MakeRun) -> Path:
    """Studies `one` and `two`, of runs of two lengths, of which `both` is in both."""
    for study, width in (("one", 32), ("two", 64)):
        for unique in (12_800, 32_000):
            keys = [f"data.unique_tokens={unique}", f"model.width={width}"]
            make_run(f"{study}-{unique}", {10: 3.0, 20: 2.0}, study=study, overrides=keys)
    make_run("both", {10: 3.0, 20: 2.0}, study="one")
    path = results / "studies" / "two.json"
    document = json.loads(path.read_text())
    document["run_ids"].append("both")
    path.write_text(json.dumps(document))
    ingest(results)
    return results


def test_runs_of_several_studies_are_rows_once_and_know_their_study(two: Path) -> None:
    table = study_table(two, ["one", "two", "one"])
    assert sorted(table.run_ids) == ["both", "one-12800", "one-32000", "two-12800", "two-32000"]
    of_study = dict(zip(table.run_ids, table.columns["study"], strict=True))
    assert of_study["both"] == of_study["one-12800"] == "one"
    assert of_study["two-32000"] == "two"
    assert table.source == "studies one, two"
    assert "runs of each study: one 3, two 2" in table.notes
    # Keys that differ between the studies alone are columns, as those within one are.
    widths = dict(zip(table.run_ids, table.columns["model.width"], strict=True))
    assert (widths["one-12800"], widths["two-12800"]) == (32, 64)
    clusters = clusters_of(table, "study")
    assert clusters is not None
    assert clusters.count == 2


def test_studies_of_other_protocols_are_not_fitted_together(two: Path, make_run: MakeRun) -> None:
    make_run("old", {10: 3.0, 20: 2.0}, study="old", protocol=1)
    ingest(two)
    with pytest.raises(InputError, match=r"studies one, old: .* protocols 1 and 2"):
        study_table(two, ["one", "old"])


def test_studies_of_other_estimators_are_not_fitted_together(two: Path, make_run: MakeRun) -> None:
    path = make_run("odd", {10: 3.0, 20: 2.0}, study="odd").records_path
    path.write_text(path.read_text().replace('"nll"', '"another"'))
    ingest(two)
    with pytest.raises(
        InputError, match=r"losses of ar were measured .*one by nll; odd by another"
    ):
        study_table(two, ["one", "odd"])
    assert len(study_table(two, "odd")) == 1


def set_trunk(results: Path, run_id: str, source: str) -> None:
    path = RunFolder(results / "runs" / run_id).provenance_path
    origin = json.loads(path.read_text())
    path.write_text(json.dumps({**origin, "shared_trunk": {"run_id": source, "step": 10}}))


def test_the_trunk_of_a_run_is_where_its_chain_began(two: Path) -> None:
    """The chain leads through a run of another study, and of a run that went on from it."""
    set_trunk(two, "two-32000", "two-12800")
    set_trunk(two, "two-12800", "one-12800")
    set_trunk(two, "one-32000", "gone")
    ingest(two, rebuild=True)
    table = study_table(two, "two")
    assert dict(zip(table.run_ids, table.columns["trunk"], strict=True)) == {
        "two-12800": "one-12800", "two-32000": "one-12800", "both": "both",
    }  # fmt: skip
    trunks = clusters_of(table, "trunk")
    assert trunks is not None
    assert trunks.count == 2
    # Without being asked for: what shares its first points is no two observations.
    usual = clusters_of(study_table(two, ["one", "two"], at="curve"), None)
    assert usual is not None
    assert (usual.by, usual.count) == ("trunk", 3)


def test_a_chain_of_trunks_that_bites_its_tail_ends(two: Path) -> None:
    set_trunk(two, "one-12800", "one-32000")
    set_trunk(two, "one-32000", "one-12800")
    ingest(two, rebuild=True)
    assert set(study_table(two, "one").columns["trunk"]) <= {"one-12800", "one-32000", "both"}
