"""Seconds from opening a page of the app to its first figure, and from a changed selection to the
new one, over 1,000 runs of 200 points and 6 metrics, in a real Chromium.

python benchmarks/app_speed.py [--runs 1000] [--points 200] [--results FOLDER] [--pages NAME ...]
    [--repeats 3]

Writes one JSON object. Curves as they are arranged by default, curves in a panel for each number of
unique tokens, and the page of crossovers are measured. A figure counts as drawn when its first line
stands; a selection counts from the browser's word to the server, which a click sends at once
(before that, the driver waits for the list to stand still), until the axis has its new title.
"bytes_sent" is what the browser was sent over the websocket for the first figure.

Beside each time stands what another machine needs to judge it. A fixed workload of Python and
polars is timed in this process before and after: "reference_s" is its time, "times_reference" the
measured time over it, and "waited" its time over the CPU seconds it took, which is 1 on a quiet
machine. "cpu_s" are the CPU seconds of the server and of the browser for it; on a quiet machine
with two cores or more, the time is about their sum, or less.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from many_runs import STUDY, write_many

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.app.conftest import CHROMIUM, FIGURE, FLAGS, start_server
from workbench.store import database_path, ingest

LINE = f"{FIGURE} .mark-line path"
PAGES = {
    "curves": ("curves", "metric=val_loss"),
    "faceted": ("curves", "metric=val_loss&facet=data.unique_tokens"),
    "crossover": ("crossover", "metric=val_loss"),
}
AXES = ("epochs", "training FLOPs", "training tokens", "epochs")
"""The first two are new to the server, the others it has drawn before."""
PATIENCE_MS = 600_000
_TICK = os.sysconf("SC_CLK_TCK")


def reference_workload() -> None:
    """About 0.3 s of Python objects, JSON and polars on one core of 2023's servers."""
    rows = [{"run": f"r{i % 997}", "x": i, "y": i * 0.5} for i in range(60_000)]
    rows = json.loads(json.dumps(rows))
    frame = pl.DataFrame(rows).group_by("run", maintain_order=True).agg(pl.col("y").mean())
    np.sort(np.sin(frame["y"].to_numpy().repeat(200)))


def _processes() -> dict[int, tuple[int, float]]:
    """The parent and the CPU seconds, those of ended children included, of every process."""
    known = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        known[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / _TICK)
    return known


def cpu_seconds(server: int) -> dict[str, float]:
    """CPU seconds so far of the server, and of the browser with its driver."""
    known = _processes()

    def below(pid: int) -> float:
        children = (child for child, (parent, _) in known.items() if parent == pid)
        return known.get(pid, (0, 0.0))[1] + sum(map(below, children))

    ours = [pid for pid, (parent, _) in known.items() if parent == os.getpid()]
    return {"server": below(server), "browser": sum(below(pid) for pid in ours if pid != server)}


@contextmanager
def measured(server: int, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row to put "seconds" in, which then has what the machine did meanwhile."""
    row: dict[str, Any] = {}
    wall, spent = time.perf_counter(), time.process_time()
    reference_workload()
    wall, spent = time.perf_counter() - wall, time.process_time() - spent
    before = cpu_seconds(server)
    yield row
    after = cpu_seconds(server)
    again, spent_again = time.perf_counter(), time.process_time()
    reference_workload()
    wall += time.perf_counter() - again
    spent += time.process_time() - spent_again
    row["reference_s"] = round(wall / 2, 2)
    row["times_reference"] = round(2 * row["seconds"] / wall, 2)
    row["waited"] = round(wall / spent, 2)
    row["cpu_s"] = {name: round(after[name] - before[name], 2) for name in after}
    row["seconds"] = round(row["seconds"], 2)
    rows.append(row)


def first_figure(browser: Any, url: str, row: dict[str, Any]) -> None:
    """Open a page in a fresh browser window."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    received = [0]

    def count(frame: Any) -> None:
        received[0] += len(frame)

    page.on("websocket", lambda socket: socket.on("framereceived", count))
    began = time.perf_counter()
    page.goto(url)
    page.locator(LINE).first.wait_for(timeout=PATIENCE_MS)
    row["seconds"] = time.perf_counter() - began
    row["bytes_sent"] = received[0]
    context.close()


def changed_selections(browser: Any, url: str, server: int) -> list[dict[str, Any]]:
    """Choose one axis after another, and wait for a figure that has it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    sent: list[float] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda _: sent.append(time.perf_counter())),
    )
    page.goto(url)
    page.locator(LINE).first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_timeout(2000)
    rows: list[dict[str, Any]] = []
    for name in AXES:
        with measured(server, rows) as row:
            page.get_by_role("combobox", name="Along").first.click()
            sent.clear()
            page.get_by_role("option", name=name, exact=True).click()
            page.locator(f"{FIGURE} text", has_text=name).first.wait_for(timeout=PATIENCE_MS)
            row["seconds"] = time.perf_counter() - sent[0]
        page.wait_for_timeout(800)
    context.close()
    return rows


def page_speed(
    playwright: Any, results: Path, name: str, log: Path, repeats: int
) -> dict[str, Any]:
    """The times of one page, of a server of its own."""
    path, query = PAGES[name]
    server = start_server(results, log)
    browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
    url = f"{server.url}/{path}?token={server.token}&study={STUDY}&{query}"
    pid = server.process.pid
    cold: list[dict[str, Any]] = []
    again: list[dict[str, Any]] = []
    try:
        with measured(pid, cold) as row:
            first_figure(browser, url, row)
        for _ in range(repeats):
            with measured(pid, again) as row:
                first_figure(browser, url, row)
        changes = changed_selections(browser, url, pid)
    finally:
        browser.close()
        server.process.terminate()
        server.process.wait()
    again.sort(key=lambda row: row["times_reference"])
    return {
        "first_figure": {"cold": cold[0], "again_median": again[len(again) // 2]},
        "changed_selection": {"new": changes[:2], "seen_before": changes[2:]},
    }


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--results", type=Path, help="a folder made by many_runs.py")
    parser.add_argument("--repeats", type=int, default=3, help="further windows; 3 by default")
    parser.add_argument("--pages", nargs="+", choices=list(PAGES), default=list(PAGES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        results = arguments.results or Path(folder)
        if not database_path(results).exists():
            write_many(results, runs=arguments.runs, points=arguments.points)
            ingest(results)
        log = Path(folder) / "log.txt"
        pages = {}
        for name in arguments.pages:
            pages[name] = page_speed(playwright, results, name, log, arguments.repeats)
            print(name, json.dumps(pages[name]), file=sys.stderr, flush=True)
    references = [row["reference_s"] for row in _rows(pages)]
    print(
        json.dumps(
            {
                "runs": arguments.runs,
                "reference_s": round(statistics.median(references), 2),
                "pages": pages,
                "load": [round(one, 1) for one in os.getloadavg()],
            },
            indent=2,
        )
    )


def _rows(document: Any) -> Iterator[dict[str, Any]]:
    """Every measurement of a document."""
    if isinstance(document, dict) and "times_reference" in document:
        yield document
    elif isinstance(document, dict | list):
        for part in document.values() if isinstance(document, dict) else document:
            yield from _rows(part)


if __name__ == "__main__":
    main()
