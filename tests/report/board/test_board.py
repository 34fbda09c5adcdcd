"""A board puts like beside like, names what differs, and is made of what it reads alone."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import workbench as wb
from tests.report.board.made_exports import (
    HOSTILE,
    RECIPE,
    made_export,
    make_hostile,
    rewritten,
)
from tests.store.hostile import checksum
from workbench.analysis.outcomes import outcomes
from workbench.cli import app
from workbench.report.board.write import LIST

STRANGER = "eve's <i>"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three people: alice and bob share a run, and differ in a value of another; bob has a seed
    of his own and another learning rate; eve's text is hostile."""
    folder = tmp_path_factory.mktemp("board")
    wide = {"unique": 32_000}
    made_export(folder, "alice", {"0": {}, "1": {"seed": 1}, "w": wide})
    made_export(
        folder, "bob",
        {"0": {}, "1": {"seed": 1, "more": 0.25}, "2": {"seed": 2},
         "x": {**wide, "overrides": ["training.lr=0.001"]}},
    )  # fmt: skip
    made_export(folder, STRANGER, {"e": {}})
    make_hostile(folder / "exports" / STRANGER)
    return folder / "exports"


class Read(HTMLParser):
    """A page as a browser parses it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.contents: list[str] = []
        self.rows: list[str] = []
        """The text of each row of a table, cells joined by |."""
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            self.links += [value or ""] if name in ("href", "src", "xlink:href", "action") else []
            self.ids += [value or ""] if name == "id" else []
            self.contents += [value or ""] if name == "content" else []
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.rows[-1] += "|"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.rows:
            self.rows[-1] += data.strip("\n")

    def row(self, *parts: str) -> str:
        """The one row that has all of these texts."""
        (found,) = [row for row in self.rows if all(part in row for part in parts)]
        return found


@pytest.fixture(scope="module")
def site(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    before = checksum(exports)
    out = tmp_path_factory.mktemp("site") / "board"
    written = wb.board(exports, out)
    assert written.page == out / "index.html"
    assert (written.studies, written.reproduced, written.unequal) == (3, 4, 1)
    assert written.runs == 12
    assert checksum(exports) == before, "an export is only read"
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Read]:
    return {path.name: Read(path.read_text()) for path in site.glob("*.html")}


def test_like_stands_beside_like_and_an_unlike_one_names_the_key(pages: dict[str, Read]) -> None:
    page = pages["crossovers.html"]
    table = [row for row in page.rows if row.startswith("12.8k unique tokens")]
    assert [row.split("|")[1] for row in table[:2]] == ["alice", "bob"]
    assert [row.split("|")[5] for row in table[:2]] == ["2", "3"], "seeds of each export alone"
    unlike = [row for row in page.rows if row.startswith("32k unique tokens")]
    assert any("differs in training.lr 0.003 / 0.001" in row for row in unlike)
    assert any("differs in training.lr 0.001 / 0.003" in row for row in unlike)


def test_losses_of_other_tokens_are_in_a_table_of_their_own(pages: dict[str, Read]) -> None:
    text = pages["equal-data.html"].text
    assert "Not comparable with the losses above, which differ in metric" in text
    assert "prepared tokens" in text


def test_runs_of_one_id_are_one_run_equal_or_with_the_difference_named(
    pages: dict[str, Read],
) -> None:
    page = pages["reproduced.html"]
    assert page.row("alice and bob").split("|")[2:5] == ["4", "3", "1"]
    assert "4 of 4 values differ, at most by 0.25 (val_loss at step " in page.row(
        "a1", "alice, bob"
    )
    assert "4 with bob: 1 not equal" in pages["crossovers.html"].text


def test_every_link_leads_somewhere_on_the_site(pages: dict[str, Read]) -> None:
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for link in page.links:
            file, _, place = link.partition("#")
            assert (file or name) in pages, (name, link)
            assert not place or place in pages[file or name].ids, (name, link)


def test_every_number_leads_to_its_runs_seeds_versions_and_recipe(pages: dict[str, Read]) -> None:
    numbers = 0
    for name in ("crossovers.html", "equal-data.html", "equal-compute.html"):
        for link in pages[name].links:
            file, _, place = link.partition("#n")
            if place:
                numbers += 1
                study = pages[file]
                row = [row for row in study.rows if "|v1|recipe|" in row][int(place) - 1]
                assert re.search(r"[ad]\w.* \(\d, \d\)", row), row
    assert numbers > 10
    alice = pages["study--alice--made.html"]
    assert RECIPE.strip() in alice.text
    assert alice.row("trained", "abababababab").startswith("v1|6|")
    assert "|0.1.0|" in alice.row("trained", "abababababab")


def test_losses_are_those_of_the_analysis_at_equal_data_and_within_the_compute(
    exports: Path, pages: dict[str, Read]
) -> None:
    rows = outcomes(exports / "alice", "made", "val_loss")
    ar = next(r for r in rows if r["objective"] == "ar" and r["group"]["unique_tokens"] == 12_800)
    assert ar["best"]["mean"] == pytest.approx(3.005)
    (shown,) = [row for row in pages["equal-data.html"].rows
                if "|AR (NLL)|alice|" in row and "2 with bob: 1 not equal" in row]  # fmt: skip
    assert shown.startswith("3.005|")
    # By 3e11 FLOPs AR has made 300 of 400 steps; its best, at step 200, is within.
    page = pages["equal-compute.html"].text
    assert "3e11 training FLOPs" in page
    assert "1e12 training FLOPs" not in page, "no run has trained so far"


TAGS = {
    "html", "head", "meta", "title", "style", "body", "nav", "main", "footer", "section", "details",
    "summary", "h1", "h2", "h3", "p", "a", "div", "table", "thead", "tbody", "tr", "th", "td",
    "pre", "figure", "svg", "g", "path", "line", "rect", "text", "circle", "defs", "clippath",
    "tspan",
}  # fmt: skip


def test_text_of_others_stays_text(site: Path, pages: dict[str, Read]) -> None:
    eve = next(page for name, page in pages.items() if name.startswith("study--eve"))
    assert "<img src=x onerror=alert(1)>" in eve.text
    assert "secret-host" not in "".join(path.read_text() for path in site.iterdir())
    for name, page in pages.items():
        assert page.tags <= TAGS, name
        assert not [one for one in page.attributes if one.startswith("on")], name
        assert "\u202e" not in page.text, name
        assert any(one.startswith("default-src 'none'") for one in page.contents), name


def test_the_command_says_where_and_what_and_replaces_an_earlier_board(
    exports: Path, site: Path, tmp_path: Path
) -> None:
    (tmp_path / "in" / "other").mkdir(parents=True)
    (tmp_path / "in" / "bob").symlink_to(exports / "bob")
    out = Path(shutil.copytree(site, tmp_path / "board"))
    done = CliRunner().invoke(app, ["board", str(tmp_path / "in"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out / 'index.html'}\n"
    assert "1 exports (bob): 1 studies, 8 runs" in done.stderr
    assert "other: no export of results; left out." in done.stderr
    names = {path.name for path in out.iterdir()}
    assert "study--bob--made.html" in names
    assert not [name for name in names if "alice" in name]
    assert names == {LIST, *json.loads((out / LIST).read_text())["pages"]}


def refused(places: list[Path], out: Path) -> str:
    """The message of a command that refuses its input and has written nothing."""
    before = checksum(out) if out.exists() else None
    done = CliRunner().invoke(app, ["board", *map(str, places), "--out", str(out)])
    assert isinstance(done.exception, wb.InputError), done.output
    assert (checksum(out) if out.exists() else None) == before
    return str(done.exception)


def copied(exports: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exports / "alice", tmp_path / "alice"))


def test_places_without_exports_are_refused(exports: Path, tmp_path: Path) -> None:
    out = tmp_path / "board"
    assert "no such folder" in refused([tmp_path / "none"], out)
    (tmp_path / "empty").mkdir()
    assert "no export of results" in refused([tmp_path / "empty"], out)
    message = refused([exports, exports / "alice"], out)
    assert "two exports are called alice" in message


def test_damaged_and_newer_exports_are_refused(exports: Path, tmp_path: Path) -> None:
    out = tmp_path / "board"
    export = copied(exports, tmp_path)
    marker = export / "_workbench.json"
    document = json.loads(marker.read_text())
    marker.write_text(json.dumps(document | {"format": 99}))
    assert "newer workbench" in refused([export], out)
    marker.write_text(json.dumps(document))
    part = next(export.glob("metrics/**/part-0.parquet"))
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    assert str(part) in refused([export], out)
    part.write_bytes(content)
    rewritten(export, "runs", lambda rows: rows.with_columns(config=pl.lit("[1]")))
    assert "content that no workbench writes" in refused([export], out)


def test_a_folder_with_other_files_or_inside_an_export_is_refused(
    exports: Path, site: Path, tmp_path: Path
) -> None:
    assert "which is only read" in refused([exports], exports / "alice" / "site")
    out = Path(shutil.copytree(site, tmp_path / "board"))
    (out / "notes.txt").write_text("mine")
    assert "such as notes.txt" in refused([exports], out)
    (out / LIST).write_text("no list")
    assert "files that no board has written" in refused([exports], out)
    assert "is a file" in refused([exports], out / "notes.txt")


def test_the_mark_of_hostile_text_is_hostile() -> None:
    """Read as HTML it would be an image and a script: the test above would see them."""
    assert {"img", "script", "a"} <= Read(f'<p class="{HOSTILE}">').tags
