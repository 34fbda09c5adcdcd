"""Studies as Markdown: what intervals run over, by which protocol, single ones renewed."""

from pathlib import Path

import pytest

from tests.made_runs import STEPS, MakeRun, make_crossing_seeds, run_maker
from workbench.analysis.run_keys import order_of
from workbench.errors import InputError
from workbench.metrics import PROTOCOL
from workbench.report.markdown import protocol_sentence, write_markdown
from workbench.report.renewing import read_sections
from workbench.store import ingest

MDLM = "training.objective='mdlm'"


def old_pair(make_run: MakeRun, study: str, name: str) -> None:
    make_run(f"a{name}", dict.fromkeys(STEPS, 3.0), study=study, protocol=1)
    falling = {step: 4.0 - step / 200 for step in STEPS}
    make_run(f"d{name}", falling, study=study, protocol=1, overrides=[MDLM])


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of the present protocol with values of documents, and one of the first without."""
    results = tmp_path_factory.mktemp("markdown") / "results"
    make_run = run_maker(results)
    make_crossing_seeds(make_run, 150, study="present")
    old_pair(make_run, "old", "1")
    ingest(results)
    return results


def sections(path: Path) -> dict[str, str]:
    return {section.study: section.text for section in read_sections(path)}


def test_each_study_names_its_evaluation_protocol(studies: Path, tmp_path: Path) -> None:
    out = write_markdown(studies, ["present", "old"], tmp_path / "s.md")
    text = sections(out)
    assert f"Measured by evaluation protocol {PROTOCOL}.\n" in text["present"]
    assert "Measured by evaluation protocol 1: one noise draw" in text["old"]
    assert f"not comparable with those of protocol {PROTOCOL}." in text["old"]


def test_runs_of_several_protocols_are_counted(results: Path, make_run: MakeRun) -> None:
    make_run("a", dict.fromkeys(STEPS, 3.0), protocol=1)
    make_run("b", dict.fromkeys(STEPS, 3.0), overrides=["training.seed=1"])
    make_run("c", dict.fromkeys(STEPS, 3.0), overrides=["training.seed=2"])
    ingest(results)
    text = write_markdown(results, ["made"], results.parent / "s.md").read_text()
    assert "1 run measured by evaluation protocol 1: one noise draw" in text
    assert f"2 runs measured by evaluation protocol {PROTOCOL}." in text


def test_an_unknown_protocol_is_called_so() -> None:
    assert "does not know" in protocol_sentence(PROTOCOL + 1)


def test_tables_say_what_their_intervals_run_over(studies: Path, tmp_path: Path) -> None:
    text = sections(write_markdown(studies, ["present", "old"], tmp_path / "s.md"))
    assert "Intervals: t interval over 3 seeds and 24 documents (crossed)" in text["present"]
    assert "Intervals: band, t interval over 3 seeds and 24 documents" in text["present"]
    assert "leaves zero for good (band)." in text["present"]
    assert "at every point (point)." in text["old"]
    assert "Note: one seed" in text["old"]


def test_one_study_is_renewed_and_the_others_stay_as_they_are_written(
    studies: Path, tmp_path: Path
) -> None:
    out = write_markdown(studies, ["old", "present"], tmp_path / "s.md")
    edited = out.read_text().replace(
        "at every point (point).", "as someone wrote by hand.\n\n## No study"
    )
    out.write_text(edited.replace("- [?](#old)", "- [Asked by hand?](#old)"))
    (tmp_path / "s" / "old.svg").write_text("drawn before")
    notes = tmp_path / "notes.toml"
    notes.write_text('[present]\nmore = "Later words."\n[old]\nmore = "Not asked for."\n')
    before = sections(out)
    write_markdown(studies, ["present"], out, notes=notes, renew=True)
    after = sections(out)
    assert list(after) == ["old", "present"], "in the places of before"
    assert after["old"] == before["old"]
    assert "as someone wrote by hand." in after["old"]
    assert after["present"] == before["present"].rstrip() + "\n\nLater words.\n"
    assert "- [Asked by hand?](#old)\n- [?](#present)\n" in out.read_text()
    assert (tmp_path / "s" / "old.svg").read_text() == "drawn before"
    written = out.read_text()
    write_markdown(studies, ["present"], out, notes=notes, renew=True)
    assert out.read_text() == written


def test_a_study_that_is_new_comes_at_the_end(studies: Path, tmp_path: Path) -> None:
    out = write_markdown(studies, ["present"], tmp_path / "s.md")
    before = sections(out)
    write_markdown(studies, ["old"], out, renew=True)
    assert list(sections(out)) == ["present", "old"]
    assert sections(out)["present"] == before["present"]
    assert (
        out.read_text()
        == write_markdown(studies, ["present", "old"], tmp_path / "s.md").read_text()
    )


@pytest.mark.parametrize("text", [None, "# Notes\n", "# Studies\n\n- [What?](#lost)\n\n## other\n"])
def test_what_is_no_document_of_studies_is_refused_and_left(
    studies: Path, tmp_path: Path, text: str | None
) -> None:
    out = tmp_path / "s.md"
    if text is not None:
        out.write_text(text)
    with pytest.raises(InputError, match=r"--renew .*s\.md"):
        write_markdown(studies, ["present"], out, renew=True)
    assert (out.read_text() if out.exists() else None) == text


def test_notes_choose_the_configurations_that_tables_show(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    for unique in (12_800, 32_000):
        u = f"data.unique_tokens={unique}"
        make_run(f"a{unique}", dict.fromkeys(STEPS, 3.0), overrides=[u])
        falling = {step: 4.0 - step / 200 for step in STEPS}
        make_run(f"d{unique}", falling, overrides=[u, MDLM])
    ingest(results)
    notes = tmp_path / "notes.toml"
    notes.write_text('[made]\nwhere = "unique_tokens > 20_000"\nmore = "A word."\n')
    text = sections(write_markdown(results, ["made"], tmp_path / "s.md", notes=notes))["made"]
    assert "12,800" not in text
    assert "32,000" in text or "| ar |" in text
    assert (
        "The tables of values and crossovers show configurations with unique_tokens > 20000" in text
    )
    assert "A word." in text
    notes.write_text('[made]\nwhere = "unique_tokens = 5"\n')
    with pytest.raises(InputError, match=r"made.where = unique_tokens = 5: no configuration"):
        write_markdown(results, ["made"], tmp_path / "s.md", notes=notes)
    notes.write_text('[made]\nwhere = "unique_tokenz > 20_000"\n')
    with pytest.raises(InputError, match="did you mean 'unique_tokens'"):
        write_markdown(results, ["made"], tmp_path / "s.md", notes=notes)


def test_groups_are_in_the_order_of_their_numbers() -> None:
    keys = [102_400, 1_638_400, 204_800, None]
    groups = [{"n_params": 1, "unique_tokens": 2, "training.total_tokens": key} for key in keys]
    ordered = [group["training.total_tokens"] for group in sorted(groups, key=order_of)]
    assert ordered == [None, 102_400, 204_800, 1_638_400]
