"""Seconds from opening the app's curves to their first figure, and from a changed selection to the
new one, over 1,000 runs of 200 points and 6 metrics, in a real Chromium.

python benchmarks/app_speed.py [--runs 1000] [--points 200] [--results FOLDER]

Writes one JSON object. A figure counts as drawn when its first line stands; a selection counts from
the browser's word to the server, which a click sends at once (before that, the driver waits for the
list to stand still), until the axis has its new title. "bytes_sent" is what the browser was sent
over the websocket for the first figure.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from many_runs import STUDY, write_many

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.app.conftest import CHROMIUM, FIGURE, FLAGS, start_server
from workbench.store import database_path, ingest

LINE = f"{FIGURE} .mark-line path"
REPEATS = 5


def first_figure(browser: Any, url: str) -> tuple[float, int]:
    """Seconds to the first figure in a fresh browser window, and bytes over the websocket."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    received = [0]

    def count(frame: Any) -> None:
        received[0] += len(frame)

    page.on("websocket", lambda socket: socket.on("framereceived", count))
    began = time.perf_counter()
    page.goto(url)
    page.locator(LINE).first.wait_for(timeout=60_000)
    seconds = time.perf_counter() - began
    context.close()
    return seconds, received[0]


def changed_selection(browser: Any, url: str, axes: list[str]) -> list[float]:
    """Seconds from choosing another axis to a figure that has it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    sent: list[float] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda _: sent.append(time.perf_counter())),
    )
    page.goto(url)
    page.locator(LINE).first.wait_for(timeout=60_000)
    page.wait_for_timeout(2000)
    taken = []
    for name in axes:
        page.get_by_role("combobox", name="Along").click()
        sent.clear()
        page.get_by_role("option", name=name, exact=True).click()
        page.locator(f"{FIGURE} text", has_text=name).first.wait_for(timeout=60_000)
        taken.append(time.perf_counter() - sent[0])
        page.wait_for_timeout(800)
    context.close()
    return taken


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--results", type=Path, help="a folder made by many_runs.py")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        results = arguments.results or Path(folder)
        if not database_path(results).exists():
            write_many(results, runs=arguments.runs, points=arguments.points)
            ingest(results)
        server = start_server(results, Path(folder) / "log.txt")
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        url = f"{server.url}/curves?token={server.token}&study={STUDY}&metric=val_loss"
        try:
            cold, sent = first_figure(browser, url)
            again = [first_figure(browser, url)[0] for _ in range(REPEATS)]
            axes = ["epochs", "training FLOPs", "training tokens", "epochs", "training FLOPs"]
            changes = changed_selection(browser, url, axes)
        finally:
            browser.close()
            server.process.terminate()
            server.process.wait()
    print(
        json.dumps(
            {
                "runs": arguments.runs,
                "first_figure_s": {"cold": round(cold, 2), "again": _told(again)},
                "changed_selection_s": {
                    "new": [round(s, 2) for s in changes[:2]],
                    "seen_before": [round(s, 2) for s in changes[2:]],
                },
                "bytes_sent": sent,
                "load": [round(one, 1) for one in os.getloadavg()],
            },
            indent=2,
        )
    )


def _told(seconds: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 2), "worst": round(max(seconds), 2)}


if __name__ == "__main__":
    main()
