"""Every page in a real browser at two widths and in both themes: nothing is wider than the window,
text can be read, the console has no error, and a phone begins with the figure."""

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest

from tests.app.conftest import FIGURE, PAGES, Server

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
FIRST_SCREEN = ("curves", "crossover", "map")
WITH_FIGURE = (
    *FIRST_SCREEN,
    "overview",
    "overfitting",
    "keys",
    "effects",
    "compare",
    "compute",
    "runs",
    "sql",
)
HEIGHT = 844
# What is about to be replaced is faded: it is not read.
FAINT = """async () => {
  const found = await axe.run({ exclude: ["[data-stale=true]"] }, { runOnly: ["color-contrast"] })
  return found.violations.flatMap(one => one.nodes).map(node =>
    [node.html.slice(0, 120), node.any[0].data.contrastRatio])
}"""
# A table scrolls within itself: what it holds beyond its edge is not the page's.
WIDE = """() => [...document.querySelectorAll("[data-testid=stMain] *")]
  .filter(part => !part.closest("[data-testid=stDataFrame], pre, [data-testid=stPopoverBody]"))
  .filter(part => part.getBoundingClientRect().right > innerWidth + 1)
  .map(part => `${part.tagName} ${part.dataset.testid ?? part.className}`)"""


def faults(browser: Any, server: Server, width: int, scheme: str) -> list[str]:
    """What is wrong on any page, a line each."""
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT}, color_scheme=scheme, bypass_csp=True
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    found: list[str] = []
    console: list[str] = []
    page.on("console", lambda said: console.append(said.text) if said.type == "error" else None)
    page.goto(f"{server.url}/?token={server.token}")
    for name in PAGES:
        path = "" if name == "overview" else name
        chosen = "" if name in ("overview", "notes", "sql") else "?study=quickstart"
        page.goto(f"{server.url}/{path}{chosen}")
        page.locator("h2").first.wait_for()
        if name in FIRST_SCREEN and width < 640:
            page.get_by_text("Choices", exact=True).first.wait_for()  # laid out for a phone
        if name in WITH_FIGURE:
            page.locator(f"{FIGURE} .role-mark path").first.wait_for(state="attached")
        page.wait_for_timeout(500)
        page.evaluate(AXE.read_text())
        # A page may still be laid out for the width that the server thought of first.
        for patience in (0, 2000, 8000):
            page.wait_for_timeout(patience)
            faint = [f"{name}: contrast {ratio} of {html}" for html, ratio in page.evaluate(FAINT)]
            wide = [f"{name}: wider than the window: {part}" for part in page.evaluate(WIDE)[:3]]
            if not faint + wide:
                break
        found += faint + wide
        if width < 640 and name in FIRST_SCREEN:
            begins = page.locator(FIGURE).first.bounding_box()["y"]
            found += [f"{name}: its figure begins at {begins}"] if begins > HEIGHT - 200 else []
        if width > 640:
            links = page.locator("[data-testid=stTopNavLink]").all_inner_texts()
            found += [f"{name}: {len(links)} pages to go to"] if len(links) != len(PAGES) else []
    context.close()
    return found + console


@pytest.mark.long
def test_a_phone_shows_every_page_and_first_its_figure(server: Server, browser: Any) -> None:
    assert faults(browser, server, 390, "light") == []


@pytest.mark.long
def test_every_page_can_be_read_on_a_dark_screen(server: Server, browser: Any) -> None:
    assert faults(browser, server, 1280, "dark") == []


@pytest.mark.long
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_every_page_can_be_read_in_the_other_themes_too(
    width: int, scheme: str, server: Server, browser: Any
) -> None:
    assert faults(browser, server, width, scheme) == []
