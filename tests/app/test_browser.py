"""The app in a real browser, on results that were really trained."""

import json
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import FIGURE, PAGES, Server
from workbench.runs.folder import RunFolder
from workbench.store import ingest, query

TITLES = {"laws": "Scaling laws", "sql": "SQL"}


def address(server: Server, name: str, query: str = "") -> str:
    """The page's link, with the token that a fresh browser needs."""
    path = "" if name == "overview" else name
    return f"{server.url}/{path}?token={server.token}{'&' + query if query else ''}"


def no_error(window: Any) -> None:
    for trouble in ("stException", "stErrorElementMessage"):
        assert window.locator(f"[data-testid={trouble}]").count() == 0
    alerts = window.locator("[data-testid=stAlertContentError]")
    assert alerts.count() == 0, alerts.all_inner_texts()


def drawn(window: Any) -> None:
    """A figure stands, with marks in it."""
    window.locator(f"{FIGURE} .role-mark path").first.wait_for(state="attached")


def whole(window: Any) -> None:
    """The server has come to the page's end: what is clicked is not about to be replaced."""
    window.locator("[data-test-script-state=notRunning]").wait_for()


@pytest.mark.parametrize("name", [name for name in PAGES if name != "notes"])
def test_a_page_opens_and_draws_a_figure(name: str, server: Server, window: Any) -> None:
    asked: list[str] = []
    window.on("request", lambda request: asked.append(request.url))
    extra = "&law=chinchilla&resamples=0&starts=8&joint=1"
    extra += "&fixed=alpha%3D0.3%2Cbeta%3D0.3%2CA%3D10%2CB%3D10"
    link = "study=quickstart" + (extra if name == "laws" else "")
    window.goto(address(server, name, "" if name == "sql" else link))
    window.get_by_role("heading", name=TITLES.get(name, name.capitalize())).first.wait_for()
    if name == "laws":
        window.get_by_role("button", name="Fit").click()
    if name == "predictions":  # nothing is forecast here, and nothing fitted before it is asked for
        window.get_by_text("Study quickstart has no forecast").wait_for()
    else:
        drawn(window)
    no_error(window)
    outside = [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert not outside, outside


def test_a_figure_downloads_in_every_format(server: Server, window: Any, tmp_path: Path) -> None:
    window.goto(address(server, "curves", "study=quickstart&metric=val_loss"))
    drawn(window)
    window.wait_for_timeout(1000)
    whole(window)
    files = {}
    for kind in ("SVG", "PNG", "PDF", "HTML", "CSV"):
        with window.expect_download() as waiting:
            window.get_by_role("button", name=kind, exact=True).first.click()
        files[kind] = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(files[kind])
    root = ET.fromstring(files["SVG"].read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "training tokens" in "".join(root.itertext())
    page = files["HTML"].read_text()
    assert "default-src 'none'" in page
    asked: list[str] = []
    alone = window.context.new_page()
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(files["HTML"].as_uri())
    alone.locator("#figure.vega-embed svg .mark-line path").first.wait_for(state="attached")
    assert [url for url in asked if not url.startswith("file:")] == []
    alone.close()
    assert files["PNG"].read_bytes().startswith(b"\x89PNG")
    assert files["PDF"].read_bytes().startswith(b"%PDF")
    header = files["CSV"].read_text().splitlines()[0].split(",")
    assert {"x", "value", "raw", "curve", "estimator"} <= set(header)
    assert files["SVG"].name == "quickstart-val_loss.svg".replace("_", "-")


def test_a_shared_link_shows_another_person_the_same(
    server: Server, window: Any, browser: Any
) -> None:
    window.goto(address(server, "curves", "study=quickstart"))
    drawn(window)
    window.get_by_role("combobox", name="Along").click()
    window.get_by_role("option", name="epochs", exact=True).click()
    window.get_by_role("combobox", name="Metrics").click()
    window.get_by_role("option", name="cloze_acc", exact=True).click()
    title = "quickstart: val_loss, cloze_acc"
    window.locator(f"{FIGURE} text", has_text=title).first.wait_for()
    window.wait_for_function("location.search.includes('cloze_acc')")
    link = window.url
    assert server.token not in link
    assert server.token not in window.evaluate("document.cookie"), "no script reads the token"
    other = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    other.goto(link)
    other.get_by_text("This browser has no token").wait_for()
    other.goto(address(server, "overview"))
    other.goto(link)
    other.locator(f"{FIGURE} text", has_text=title).first.wait_for()
    other.locator(f"{FIGURE} text", has_text="epochs").first.wait_for()
    assert other.get_by_role("combobox", name="Along").input_value() == "epochs"
    assert "cloze_acc" in other.locator("[data-testid=stMultiSelect]").first.inner_text()
    assert other.url == link
    other.context.close()


def _grow(results: Path, run: RunFolder, step: int) -> None:
    """One more evaluation of a run that trains, as its worker writes it."""
    record = {
        "step": step, "tokens": step * 2048, "epoch": step * 2048 / 12_800, "flops": step * 1e9,
        "metric": "val_loss", "value": 3.0 + 1 / step, "stderr": 0.01, "n": 64, "estimator": "nll",
    }  # fmt: skip
    with open(run.records_path, "a") as file:
        file.write(json.dumps(record) + "\n")
    run.write_status(state="running", step=step)
    ingest(results)


def _live_run(results: Path) -> RunFolder:
    """A run of the quickstart that begins now."""
    path = results / "studies" / "quickstart.json"
    study = json.loads(path.read_text())
    template = RunFolder(results / "runs" / study["run_ids"][0])
    document = template.config_json()
    document["config"]["training"]["seed"] = 7
    run = RunFolder.create(results, "00live000000", {**document, "run_id": "00live000000"}, {})
    path.write_text(json.dumps({**study, "run_ids": [*study["run_ids"], run.run_id]}))
    return run


def test_a_live_run_appears_and_the_selection_stays(own_server: Server, window: Any) -> None:
    results = own_server.results
    window.goto(address(own_server, "overview", "study=quickstart&metric=val_loss&axis=epochs"))
    drawn(window)
    count = query(results, "SELECT count(*) FROM runs").item()
    window.get_by_text(f"{count}", exact=True).first.wait_for()
    window.mouse.move(640, 500)
    window.mouse.wheel(0, 400)
    window.wait_for_timeout(500)
    scroll = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = window.evaluate(scroll)
    run = _live_run(results)
    with run.claim():
        for step in (1, 5, 10):
            _grow(results, run, step)
        window.get_by_text("Training now").wait_for()
        window.get_by_text(f"{count + 1}", exact=True).first.wait_for()
        assert "axis=epochs" in window.url
        assert window.get_by_role("combobox", name="Along").input_value() == "epochs"
        # What stands above may have grown by the table of live runs; nothing jumps to the top.
        assert window.evaluate(scroll) >= before > 0
    no_error(window)


def test_a_writer_every_second_disturbs_nobody_and_loses_nothing(
    own_server: Server, window: Any
) -> None:
    """Twenty seconds of both."""
    results = own_server.results
    run = _live_run(results)
    code = (
        "import sys, time; from pathlib import Path; from tests.app.test_browser import _grow;"
        "from workbench.runs.folder import RunFolder; results = Path(sys.argv[1]);"
        "run = RunFolder(results / 'runs' / sys.argv[2]);"
        "began = time.monotonic();"
        "[(time.sleep(max(0, began + step - time.monotonic())), _grow(results, run, step))"
        " for step in range(1, 21)]"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(results), run.run_id],
        cwd=Path(__file__).parents[2], stderr=subprocess.PIPE,
    )  # fmt: skip
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.append(writer.stderr.read().decode()))
    reader.start()
    links = [
        ("overview", "study=quickstart"),
        ("curves", "study=quickstart&metric=val_loss"),
        ("crossover", "study=quickstart"),
        ("runs", "study=quickstart"),
        ("sql", ""),
    ]
    used, began = 0, time.monotonic()
    while writer.poll() is None and time.monotonic() - began < 120:
        window.goto(address(own_server, *links[used % len(links)]))
        drawn(window)
        window.wait_for_timeout(1500)
        no_error(window)
        used += 1
    reader.join()
    assert writer.returncode == 0, errors
    assert used >= 3
    steps = query(
        results,
        "SELECT list(step ORDER BY step) AS steps FROM metrics "
        f"WHERE run_id = '{run.run_id}' AND metric = 'val_loss'",
    )["steps"][0].to_list()
    assert steps == list(range(1, 21))


def test_a_dark_window_gets_dark_figures_in_the_same_colours(server: Server, browser: Any) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(address(server, "curves", "study=quickstart&metric=val_loss"))
    page.locator(f"{FIGURE} .mark-line path").first.wait_for(state="attached")
    background = "getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    page.wait_for_function(f"{background} !== 'rgb(255, 255, 255)'")
    page.locator(f"{FIGURE} text[fill='#d2d2d2']").first.wait_for(state="attached")
    strokes = page.locator(f"{FIGURE} .mark-line path").evaluate_all(
        "paths => paths.map(path => path.getAttribute('stroke'))"
    )
    assert {"#0072B2", "#D55E00"} <= {stroke.upper() for stroke in strokes} | set(strokes)
    context.close()
