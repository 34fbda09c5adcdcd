"""The first page says what was found, what runs and what failed; views, notes and reports."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.conftest import OpenPage, Server
from tests.app.test_browser import address, drawn, no_error, whole
from tests.made_runs import MakeRun
from workbench.report.answers import study_answer
from workbench.runs.notes import Note, notes_path, read_notes, write_note
from workbench.store import ingest
from workbench.viewing.notes import READ_ONLY

AR = {100: 4.0, 200: 3.0, 300: 3.2, 400: 3.4}
LATE = {100: 4.5, 200: 3.4, 300: 3.1, 400: 3.0}


@pytest.fixture
def compared(results: Path, make_run: MakeRun) -> Path:
    make_run("a", AR)
    make_run("b", LATE, overrides=["training.objective='mdlm'"])
    ingest(results)
    return results


def words(page: AppTest) -> str:
    """All text of a page."""
    shown = [*page.markdown, *page.caption, *page.code, *page.info, *page.text, *page.error]
    return " ".join(str(element.value) for element in shown).replace("\\", "")


def until(page: AppTest, text: str) -> AppTest:
    """The page, drawn again until it has a text."""
    for _ in range(300):
        if text in words(page):
            return page
        time.sleep(0.2)
        page.run()
    raise AssertionError(f"no {text!r} in {words(page)}")


def test_the_first_page_has_the_answer_with_its_caveats_and_what_gives_the_same(
    compared: Path, open_page: OpenPage
) -> None:
    answer = study_answer(compared, "made")
    page = until(open_page("overview", compared), answer.sentence)
    assert not page.exception
    for caveat in answer.caveats:
        assert caveat in words(page)
    (copied,) = [code.value for code in page.code if answer.sentence in code.value]
    assert answer.page in copied
    assert f"workbench answer made --metric val_loss --results {compared}" in copied


def test_failures_come_first_with_their_reason_and_the_command_that_goes_on(
    results: Path, make_run: MakeRun, open_page: OpenPage
) -> None:
    run = make_run("a", AR, state="failed")
    run.log_path.write_text("step 3\nno space left on device\n")
    stopped = make_run("b", AR, state="running", overrides=["training.seed=2"])
    stopped.log_path.write_text("step 4\nSIGTERM: stopping\n")
    ingest(results)
    page = open_page("overview", results)
    assert not page.exception
    assert page.code[0].value == f"workbench retry made --results {results}"
    labels = " ".join(expander.label.replace("\\", "") for expander in page.expander)
    assert "no space left on device" in labels
    assert "interrupted at step" in labels
    assert "SIGTERM: stopping" in labels
    assert "made: 1 failed, 1 interrupted." in words(page)


def test_what_runs_has_its_speed_and_how_long_it_takes_and_what_waits(
    results: Path, make_run: MakeRun, open_page: OpenPage
) -> None:
    run = make_run("a", {1: 4.0, 2: 3.9}, state="running")
    make_run("b", {}, state="planned", overrides=["training.seed=2"])
    ingest(results)
    with run.claim():
        run.write_status(state="running", step=2, attempts=1, started=time.time() - 20)
        page = open_page("overview", results)
    assert not page.exception
    assert "1 running, 1 planned" in words(page)
    assert "to go at the present speed" in words(page)
    row = page.dataframe[0].value.iloc[0]
    assert (row["run"], row["step"]) == ("a", 2)
    assert row["to go"]


def test_a_note_is_written_and_nothing_is_in_a_folder_that_is_read_only(
    compared: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = study_answer(compared, "made")
    page = until(open_page("overview", compared), answer.sentence)
    page.text_area[0].set_value("Look **again**.")
    tags = next(box for box in page.text_input if box.label.startswith("Tags"))
    tags.set_value("odd, small")
    next(button for button in page.button if button.label == "Save").click().run()
    note = read_notes(compared)["study", "made"]
    assert (note.text, note.tags) == ("Look **again**.", ("odd", "small"))
    page = open_page("notes", compared)
    assert not page.exception
    assert "Look **again**." in words(page)
    monkeypatch.setenv(READ_ONLY, "1")
    page = open_page("notes", compared)
    assert "Look **again**." in words(page)
    assert not page.button
    assert not page.text_area


def test_figures_are_added_ordered_and_described(compared: Path, open_page: OpenPage) -> None:
    page = open_page("crossover", compared, study="made")
    next(b for b in page.button if b.label == "Add to report").click().run()
    page = open_page("curves", compared, study="made")
    next(b for b in page.button if b.label == "Add to report").click().run()
    kinds = [figure["figure"] for figure in read_notes(compared)["report", "report"].figures]
    assert kinds == ["crossover", "curves"]
    page = open_page("notes", compared)
    texts = [area for area in page.text_area if area.label == "Your text"]
    texts[1].set_value("Falls all along.").run()
    next(b for b in page.button if b.label == "Up" and not b.disabled).click().run()
    figures = read_notes(compared)["report", "report"].figures
    assert [figure["figure"] for figure in figures] == ["curves", "crossover"]
    assert figures[0]["text"] == "Falls all along."
    assert f"workbench report --chosen report --results {compared}" in words(page)


def test_damaged_notes_are_described_and_stay(compared: Path, open_page: OpenPage) -> None:
    notes_path(compared).write_text("{broken\n")
    page = open_page("notes", compared)
    assert not page.exception
    assert "line 1: no entry of the notes" in words(page)
    assert "Until that line is mended" in words(page)
    assert not open_page("curves", compared, study="made").exception
    assert notes_path(compared).read_text() == "{broken\n"


def test_advice_has_the_fit_beside_the_published_laws_and_says_why(
    trained: Path, open_page: OpenPage
) -> None:
    page = open_page(
        "laws", trained, study="quickstart", law="chinchilla", resamples="0", starts="8",
        fixed="alpha=0.3,beta=0.3,A=10,B=10",
    )  # fmt: skip
    assert [metric.label for metric in page.metric] == ["Train, by published laws"]
    page.button[0].click().run()
    assert not page.exception
    assert [metric.label for metric in page.metric] == [
        "Train, by this fit", "Train, by published laws",
    ]  # fmt: skip
    formulas = [str(element.value) for element in page.latex]
    assert any(r"\frac{A}{N^{\alpha}}" in formula for formula in formulas)
    assert any(r"\frac{10}{N^{0.3}}" in formula for formula in formulas)
    assert "ar: " in words(page)
    assert re.search(
        r"FLOPs are (above|below) the .* where the choice flips|lowest predicted loss", words(page)
    )


def test_a_view_gets_a_name_a_link_and_a_report_in_a_browser(
    server: Server, window: Any, tmp_path: Path
) -> None:
    """Name what a page shows, open it again, note a study, and download a chosen figure."""
    results = server.results
    window.goto(address(server, "curves", "study=quickstart&metric=val_loss&axis=epochs"))
    drawn(window)
    window.get_by_test_id("stExpandSidebarButton").click()
    window.get_by_label("Name this view").fill("By epochs")
    window.get_by_role("button", name="Save").first.click()
    link = window.get_by_test_id("stSidebar").get_by_role("link", name="By epochs")
    link.wait_for()
    view = read_notes(results)["view", "By epochs"]
    assert view.address.startswith("curves?")
    assert "axis=epochs" in view.address
    window.get_by_role("button", name="Add to report").first.click()
    window.get_by_text("Added to the report").wait_for()
    write_note(results, Note("study", "quickstart", "A note of another program."), seen=None)
    window.goto(address(server, "overview"))
    window.get_by_text("A note of another program.").first.wait_for()
    window.get_by_text("masked diffusion", exact=False).first.wait_for()
    window.goto(address(server, "notes"))
    window.get_by_role("button", name="Download as one HTML file").wait_for()
    whole(window)
    with window.expect_download() as waiting:
        window.get_by_role("button", name="Download as one HTML file").click()
    waiting.value.save_as(tmp_path / "report.html")
    assert "quickstart: val_loss" in (tmp_path / "report.html").read_text()
    window.get_by_role("link", name="By epochs").first.click()
    window.wait_for_function("location.search.includes('axis=epochs')")
    drawn(window)
    no_error(window)
    notes_path(results).unlink()  # others use this folder too
