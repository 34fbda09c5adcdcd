"""A report of chosen figures: in their order, with their texts, in one file that loads nothing."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.made_runs import MakeRun
from workbench.api.chosen import Chosen, chosen_report
from workbench.api.results import Results
from workbench.cli import app
from workbench.errors import InputError
from workbench.runs.notes import Note, write_note
from workbench.store import ingest

CURVES = Chosen("made", "curves", {"metric": ["val_loss"], "axis": "epochs"}, text="First.\nMore.")
CROSSOVER = Chosen("made", "crossover", {"metric": "val_loss"})


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    make_run("a", {100: 4.0, 200: 3.0, 300: 3.2})
    make_run("b", {100: 4.5, 200: 3.4, 300: 3.0}, overrides=["training.objective='mdlm'"])
    ingest(results)
    return results


def test_figures_stand_in_their_order_with_their_texts(study: Path, tmp_path: Path) -> None:
    figures = (CROSSOVER.document(), CURVES.document())
    write_note(study, Note("report", "mine", "What we saw.", figures=figures), seen=None)
    out = tmp_path / "mine.html"
    done = CliRunner().invoke(
        app, ["report", "--chosen", "mine", "--out", str(out), "--results", str(study)]
    )
    assert done.exit_code == 0, done.output
    page = re.sub(r"<script.*?</script>", "", out.read_text(), flags=re.S)
    assert "What we saw." in page
    assert page.index("crossover on val_loss</h2>") < page.index("<p>First.</p>")
    assert page.index("<p>First.</p>") < page.index("<p>More.</p>")
    assert page.count("<svg") == 2
    assert "default-src 'none'" in page
    assert "Nothing to compare yet." not in page
    assert "figure(&#39;curves&#39;, metric=[&#39;val_loss&#39;], axis=&#39;epochs&#39;)" in page


def test_a_chosen_figure_is_the_one_that_the_study_draws(study: Path) -> None:
    drawn = CURVES.draw(study)
    same = Results(study).study("made").figure("curves", metric=["val_loss"], axis="epochs")
    assert drawn.to_dict()["datasets"] == same.drawn.to_dict()["datasets"]


def test_what_can_no_longer_be_drawn_is_listed(study: Path) -> None:
    figures = (Chosen("gone", "curves").document(), CURVES.document(), {"study": "made"})
    write_note(study, Note("report", "mine", figures=figures), seen=None)
    report = chosen_report(study, "mine")
    assert [section.title for section in report.sections] == ["made: val_loss"]
    assert "no study gone" in report.missing[0]
    assert "report mine: a figure needs figure." in report.missing[1]


def test_an_unknown_report_is_named_and_studies_are_left_out(study: Path) -> None:
    write_note(study, Note("report", "mine"), seen=None)
    with pytest.raises(InputError, match="did you mean 'mine'"):
        chosen_report(study, "min")
    run = CliRunner().invoke
    both = run(app, ["report", "made", "--chosen", "mine", "--results", str(study)])
    assert isinstance(both.exception, InputError) or both.exit_code == 2
    neither = run(app, ["report", "--results", str(study)])
    assert isinstance(neither.exception, InputError) or neither.exit_code == 2


def test_the_command_lists_what_was_written(study: Path) -> None:
    write_note(study, Note("study", "made", "Odd at the end.", ("odd",)), seen=None)
    write_note(study, Note("view", "By epochs", address="curves?study=made"), seen=None)
    listed = CliRunner().invoke(app, ["notes", "--results", str(study), "--format", "json"])
    assert [entry["name"] for entry in json.loads(listed.stdout)] == ["made", "By epochs"]
    tagged = CliRunner().invoke(app, ["notes", "--results", str(study), "--tag", "odd"]).stdout
    assert "Odd at the end." in tagged
    assert "By epochs" not in tagged
