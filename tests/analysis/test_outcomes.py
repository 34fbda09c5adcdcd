"""Best and last values over seeds, and studies as Markdown."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from scipy import stats
from typer.testing import CliRunner

from tests.made_runs import MakeRun, make_crossing_seeds
from workbench.analysis.outcomes import (
    _place,
    best_within,
    outcome_notes,
    outcome_table,
    outcome_table_row,
    outcomes,
)
from workbench.cli import app
from workbench.errors import InputError
from workbench.report.markdown import write_markdown
from workbench.report.sections import Section
from workbench.runs.records import RecordWriter
from workbench.store import ingest

MDLM = "training.objective='mdlm'"


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    """AR overfits, with dropout it does not; diffusion still improves."""
    for seed, shift in enumerate((0.0, 0.1, 0.2)):
        s = f"training.seed={seed}"
        make_run(f"a{seed}", {10: 3.0, 20: 2.0 + shift, 30: 2.5}, overrides=[s])
        make_run(f"dropped{seed}", {10: 3.0, 20: 2.2, 30: 2.1}, overrides=[s, "model.dropout=0.1"])
        make_run(f"d{seed}", {10: 4.0, 20: 2.5, 30: 2.2}, overrides=[s, MDLM])
    ingest(results)
    return results


def test_seeds_are_averaged_with_their_t_interval(study: Path) -> None:
    plain, dropped, diffusion = outcomes(study, "made", "val_loss")
    half = stats.t.ppf(0.975, 2) * 0.1 / 3**0.5
    assert plain["best"]["mean"] == pytest.approx(2.1)
    assert plain["best"]["ci95"] == pytest.approx([2.1 - half, 2.1 + half])
    assert plain["best"]["ci95_method"] == "t interval over 3 seeds, 2 degrees of freedom"
    assert "no values of single documents" in plain["best"]["ci95_note"]
    assert plain["last"]["mean"] == pytest.approx(2.5)
    assert plain["best_epoch"]["mean"] == pytest.approx(20 * 2048 / 12_800)
    assert [row["still_improving"] for row in (plain, dropped, diffusion)] == [0, 3, 3]
    assert (plain["runs"], plain["seeds"]) == (["a0", "a1", "a2"], 3)
    assert dropped["group"]["model.dropout"] == 0.1
    assert outcome_table_row(diffusion)["at epoch"] == "> 4.8"
    assert outcome_table_row(plain)["at epoch"] == "3.2"


def test_a_group_names_each_key_that_differs_and_unique_tokens_once(
    results: Path, make_run: MakeRun
) -> None:
    for name, keys in {
        "a": [], "b": ["data.seq_len=128"], "c": ["data.unique_tokens=25_600"],
        "d": ["training.lr=0.1"],
    }.items():  # fmt: skip
        make_run(name, {10: 3.0}, overrides=keys)
    ingest(results)
    rows = {row["runs"][0]: row for row in outcomes(results, "made", "val_loss")}
    for row in rows.values():
        assert set(row["group"]) == {"unique_tokens", "n_params", "data.seq_len", "training.lr"}
    assert rows["b"]["group"]["data.seq_len"] == 128


def test_one_seed_has_no_interval_and_no_column_for_it(results: Path, make_run: MakeRun) -> None:
    make_run("a", {10: 3.0, 20: 2.0})
    ingest(results)
    rows = outcomes(results, "made", "val_loss")
    assert (rows[0]["best"]["ci95"], outcome_table_row(rows[0])["95 % interval"]) == (None, None)
    (row,) = outcome_table(rows)
    assert not [name for name in row if "interval" in name]
    assert (row["best val_loss"], row["last"]) == ("2", "2")
    assert any("one seed: no interval over seeds" in note for note in outcome_notes(rows))
    command = ["outcomes", "made", "--results", str(results), "--format"]
    printed = {fmt: CliRunner().invoke(app, [*command, fmt]).stdout for fmt in ("table", "csv")}
    assert ("interval" in printed["table"], "interval" in printed["csv"]) == (False, True)
    text = write_markdown(results, ["made"], results / "studies.md").read_text()
    assert "one seed: no interval over seeds" in text
    assert "| 95 % interval" not in text


def test_a_second_seed_anywhere_brings_the_column_back(results: Path, make_run: MakeRun) -> None:
    make_run("a", {10: 3.0, 20: 2.0})
    make_run("d0", {10: 4.0, 20: 2.5}, overrides=[MDLM])
    make_run("d1", {10: 4.0, 20: 2.4}, overrides=[MDLM, "training.seed=1"])
    ingest(results)
    rows = outcomes(results, "made", "val_loss")
    single_seed, both = outcome_table(rows)
    assert single_seed.keys() == both.keys()
    assert single_seed["95 % interval"] is None
    assert " to " in both["95 % interval"]
    assert any("over 2 seeds" in note for note in outcome_notes(rows))


def test_a_reports_sections_show_no_empty_interval() -> None:
    rows = ({"crossover": "1", "95 % interval": None}, {"crossover": "2", "95 % interval": None})
    assert Section("here", rows=rows).table == ({"crossover": "1"}, {"crossover": "2"})
    known = ({"95 % interval": "1 to 2"}, {"95 % interval": None})
    assert Section("here", rows=known).table == known


def test_configurations_are_in_the_order_of_their_keys_unknown_ones_numbers_then_texts() -> None:
    def row(objective: str, n_params: int, unique: int, value: object) -> dict[str, object]:
        group = {"unique_tokens": unique, "n_params": n_params, "labels.name": value}
        return {"objective": objective, "group": group}

    expected = [
        row("ar", 1, 5, None), row("ar", 1, 5, 2), row("ar", 1, 5, 10.0), row("ar", 1, 5, "a"),
        row("ar", 1, 5, "b"), row("ar", 1, 10, None), row("ar", 2, 5, None), row("mdlm", 1, 5, 1),
    ]  # fmt: skip
    places = [_place(one) for one in expected]
    assert places == sorted(places)
    assert len({repr(place) for place in places}) == len(expected)


def test_runs_without_epochs_have_no_epoch_of_the_best(results: Path, make_run: MakeRun) -> None:
    for seed, epoch in enumerate((1.0, None)):
        run = make_run(f"a{seed}", {}, imported=True, overrides=[f"training.seed={seed}"])
        writer = RecordWriter(run.records_path)
        writer.write(
            step=1, tokens=2048, epoch=epoch, flops=1.0, metric="val_loss", value=3.0,
            estimator="nll",
        )  # fmt: skip
        writer.close()
    ingest(results)
    (row,) = outcomes(results, "made", "val_loss")
    assert row["best"]["mean"] == 3.0
    assert row["best_epoch"]["mean"] is None
    assert (row["still_improving"], outcome_table_row(row)["at epoch"]) == (2, None)


@pytest.mark.parametrize(("items", "crossed"), [([0.1], False), ([0.1, -0.1], True)])
def test_two_documents_are_enough_for_their_interval(
    results: Path, make_run: MakeRun, items: list[float], crossed: bool
) -> None:
    make_run("a0", {10: 3.0, 20: 2.0, 30: 4.0}, items=items)
    make_run("a1", {10: 3.0, 20: 2.5}, items=items, overrides=["training.seed=1"])
    ingest(results)
    (row,) = outcomes(results, "made", "val_loss")
    level = sum(items) / len(items)
    assert row["best"]["mean"] == pytest.approx(2.25 + level, rel=1e-5)
    assert row["last"]["mean"] == pytest.approx(2.25 + level, rel=1e-5), "where both have been"
    assert ("documents" in row["best"]["ci95_method"]) is crossed
    assert row["best"]["over"] == ("seeds+documents" if crossed else "seeds")


@pytest.mark.parametrize(
    ("metric", "values", "items", "words"),
    [
        ("val_loss", {10: 1.0, 20: 0.4}, [0.3, -0.3], "reaches below 0, where no val_loss is"),
        ("cloze_acc", {10: 0.5, 20: 0.9}, None, "above 1, where no cloze_acc is"),
        ("val_loss", {10: 4.0, 20: 3.0}, [0.01, -0.01], None),
        ("grad_norm", {10: 4.0, 20: 0.5}, None, None),  # its range is not known
    ],
)
def test_an_interval_wider_than_its_metric_s_range_says_that_it_is_of_no_use_and_is_not_cut(
    results: Path, make_run: MakeRun, metric: str, values: dict[int, float],
    items: list[float] | None, words: str | None,
) -> None:  # fmt: skip
    for seed, shift in enumerate((0.0, -0.3 if items is None else 0.0)):
        own = {step: value + shift for step, value in values.items()}
        make_run(f"a{seed}", own, items=items, metric=metric, overrides=[f"training.seed={seed}"])
    ingest(results)
    (row,) = outcomes(results, "made", metric)
    last = row["last"]
    low, high = last["ci95"]
    assert high - last["mean"] == pytest.approx(last["mean"] - low), "as it was worked out"
    if words is None:
        assert "too wide" not in (last["ci95_note"] or "")
    else:
        assert low < 0 or high > 1
        assert words in last["ci95_note"]
        assert "too wide to be used" in last["ci95_note"]


def test_higher_is_better_where_it_is(results: Path, make_run: MakeRun) -> None:
    make_run("a", {10: 0.3, 20: 0.4, 30: 0.2}, metric="cloze_acc")
    ingest(results)
    (row,) = outcomes(results, "made", "cloze_acc")
    assert row["best"]["mean"] == pytest.approx(0.4)


def test_studies_become_markdown_with_their_figures(study: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.toml"
    notes.write_text('[made]\nagrees = "It overtakes."\nwhy = "Few tokens."\n')
    notes.write_text(notes.read_text() + 'metrics = "val_loss"\n')
    out = write_markdown(study, ["made"], tmp_path / "docs" / "studies.md", notes=notes)
    text = out.read_text()
    (figure,) = re.findall(r"!\[.*\]\((.*)\)", text)
    assert ET.parse(out.parent / figure).getroot().tag.endswith("svg")
    assert "9 runs, 3 seeds" in text
    assert "**Agrees with the claim.** It overtakes." in text
    assert text.index("It overtakes.") < text.index("**Likeliest reason.** Few tokens.")
    rows = [line for line in text.splitlines() if line.startswith("| ar | none |")]
    assert "| 2.1 | 1.852 to 2.348 | 3.2 | 2.5 |" in rows[0]
    widths = {line.count("|") for line in text.splitlines() if line.startswith(("| ar", "| obj"))}
    assert len(widths) == 1, "every row has its table's columns"


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ("[made]\nagree = 'x'", r"made\.agree: unknown, did you mean 'agrees'"),
        ("[made]\nagrees = 1", "expected a table of texts"),
        ("made", "not valid TOML"),
    ],
)
def test_wrong_notes_write_nothing(study: Path, tmp_path: Path, notes: str, message: str) -> None:
    path = tmp_path / "notes.toml"
    path.write_text(notes)
    with pytest.raises(InputError, match=message):
        write_markdown(study, ["made"], tmp_path / "studies.md", notes=path)
    assert not (tmp_path / "studies.md").exists()


def test_a_best_is_chosen_on_one_half_of_the_documents_and_measured_on_the_other(
    results: Path, make_run: MakeRun
) -> None:
    """Documents whose values differ in nothing but a level: the halves agree on the best point."""
    for seed in (0, 1):
        values = {10: 3.0, 20: 2.0 + 0.1 * seed, 30: 2.5}
        make_run(f"a{seed}", values, overrides=[f"training.seed={seed}"], items=[-0.5, 0, 0.1, 0.4])
    ingest(results)
    (row,) = outcomes(results, "made", "val_loss")
    assert row["best"]["mean"] == pytest.approx(2.05, rel=1e-5)
    assert row["last"]["mean"] == pytest.approx(2.5, rel=1e-5)
    assert "2 seeds and 4 documents (crossed)" in row["best"]["ci95_method"]
    low, high = row["best"]["ci95"]
    assert low < 2.0 < 2.1 < high
    (alone,) = outcomes(results, "made", "val_loss", over="seeds")
    assert alone["best"]["ci95_method"].startswith("t interval over 2 seeds,")


def test_unfinished_runs_are_left_out_beside_finished_ones_and_named(
    results: Path, make_run: MakeRun
) -> None:
    make_run("done", {10: 3.0, 20: 2.0})
    make_run("going", {10: 9.0}, state="interrupted", overrides=["training.seed=1"])
    ingest(results)
    (row,) = outcomes(results, "made", "val_loss")
    assert (row["seeds"], row["last"]["mean"], row["unfinished"]) == (1, 2.0, ["going"])
    assert any("going" in note for note in outcome_notes([row]))


def test_the_best_within_a_budget_is_of_runs_that_trained_so_far(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", {100: 3.0, 200: 2.0, 300: 2.5, 400: 1.5})  # 1e9 FLOPs a step
    make_run("b", {100: 3.2, 200: 2.4, 300: 2.3, 400: 1.7}, overrides=["training.seed=1"])
    make_run("c", {100: 1.0, 200: 0.9}, overrides=["training.lr=0.001"])  # ends early
    ingest(results)
    rows = best_within(results, "made", "val_loss", [5e10, 2e11, 3.5e11, 4e11, 5e11])
    found = {(row["flops"], tuple(row["runs"])): row["best"]["mean"] for row in rows}
    assert found == {
        (2e11, ("a", "b")): pytest.approx(2.2),
        (2e11, ("c",)): pytest.approx(0.9),
        (3.5e11, ("a", "b")): pytest.approx(2.15),
        (4e11, ("a", "b")): pytest.approx(1.6),
    }


def test_with_all_compute_the_best_within_it_is_the_best_documents_and_all(
    results: Path, make_run: MakeRun
) -> None:
    make_crossing_seeds(make_run, 100, seeds=2, documents=8)
    ingest(results)
    whole = {row["objective"]: row for row in outcomes(results, "made", "val_loss")}
    rows = best_within(results, "made", "val_loss", [2e11, 4e11])
    best = {(row["objective"], row["flops"]): row["best"] for row in rows}
    assert best["ar", 4e11] == whole["ar"]["best"]
    early = best["mdlm", 2e11]  # its loss falls throughout
    assert early["mean"] > whole["mdlm"]["best"]["mean"] + 0.2
    assert "documents" in early["ci95_method"]
