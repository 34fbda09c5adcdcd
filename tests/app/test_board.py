"""A board in a real browser: links lead somewhere, nothing runs, nothing is asked from outside."""

from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.report.board.made_exports import made_export, make_hostile

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    made_export(folder, "alice", {"0": {}, "1": {"seed": 1}, "w": {"unique": 32_000}})
    make_hostile(made_export(folder, "eve's <i>", {"0": {}}))
    wb.board([folder / "exports", "shipped"], folder / "site")
    return folder / "site"


def test_every_link_leads_somewhere_and_nothing_is_asked_or_run(site: Path, browser: Any) -> None:
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: said.append(dialog.message))  # and waits: nothing goes on
    page.on("console", lambda message: said.append(message.text))
    to_visit, seen = ["index.html"], set()
    links: set[tuple[str, str]] = set()
    while to_visit:
        name = to_visit.pop()
        seen.add(name)
        page.goto((site / name).as_uri())
        found = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        for url in found:
            file, _, place = url.partition("#")
            assert Path(file).parent.name == site.name, url
            links.add((Path(file).name, place))
            if Path(file).name not in {*seen, *to_visit}:
                to_visit.append(Path(file).name)
    assert seen == {path.name for path in site.glob("*.html")}, "every page is reached by links"
    for name in seen:
        page.goto((site / name).as_uri())
        for place in {place for file, place in links if file == name and place}:
            assert page.evaluate("id => document.getElementById(id) !== null", place), (name, place)
    assert all(url.startswith(site.as_uri()) for url in asked)
    assert said == []
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_scrolls_sideways_and_text_is_seen_on_its_ground(
    site: Path, browser: Any, width: int, scheme: Any
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for path in site.glob("*.html"):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        shown = page.eval_on_selector_all(
            "figure > div", "all => all.filter(one => one.checkVisibility()).length"
        )
        assert shown <= 1, path.name
        fills = page.eval_on_selector_all(
            "figure text", "all => all.map(one => getComputedStyle(one).fill)"
        )
        dark = {fill for fill in fills if sum(map(int, fill[4:-1].split(","))) < 200}
        assert not (dark if scheme == "dark" else set()), path.name
    context.close()
