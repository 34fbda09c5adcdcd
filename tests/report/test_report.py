"""Reports: whole, self-contained, escaped, and with SQL that runs."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from tests.made_runs import MakeRun, run_maker
from workbench.errors import InputError
from workbench.importing.importer import import_runs
from workbench.report.content import study_report
from workbench.report.sections import Report
from workbench.report.write import write_report
from workbench.store import ingest, keep_fits, query

STEPS = range(1, 400, 20)
AR = {s: 2.0 + abs(s - 100) / 100 for s in STEPS}
DIFFUSION = {s: 5.0 - s / 120 for s in STEPS}
MDLM = "training.objective='mdlm'"
FIT = {
    "law": "chinchilla", "objective_name": "ar", "n": 9, "loss": 1e-3, "huber_delta": 1e-3,
    "r2": 0.99, "params": {"E": 1.8, "A": 400.0}, "ci95": {"E": [1.7, 1.9], "A": [10.0, None]},
    "identified": {"E": True, "A": False}, "starts": 4, "held_out": {"n": 2, "rmse_log": 0.01},
    "fixed": [], "formula": "L = E + A/N^alpha", "citation": "Hoffmann et al. 2022", "checks": [],
    "notes": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("report") / "results"
    make_run = run_maker(results)
    for unique in (12_800, 32_000):
        u = f"data.unique_tokens={unique}"
        make_run(f"a{unique}", AR, overrides=[u])
        make_run(f"d{unique}", DIFFUSION, overrides=[u, MDLM])
    path = results / "studies" / "made.json"
    document = json.loads(path.read_text())
    document["question"] = "<script>alert(1)</script> & more?"
    path.write_text(json.dumps(document))
    ingest(results)
    keep_fits(results, "made", [FIT])
    return results


@pytest.fixture(scope="module")
def report(study: Path) -> Report:
    return study_report(study, "made", None)


@pytest.fixture(scope="module")
def page(study: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(study, "made", tmp_path_factory.mktemp("page") / "r.html").read_text()


def _markup(page: str) -> str:
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.S)


@pytest.mark.slow
def test_a_report_loads_nothing_from_outside(page: str) -> None:
    markup = _markup(page)
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", markup)
    assert "@import" not in markup
    assert "url(" not in markup.replace("url(#", "")
    assert "cdn." not in page
    assert "default-src 'none'" in markup  # what a browser refuses


def test_text_from_a_recipe_stays_text(page: str) -> None:
    assert "<script>alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more?" in page


@pytest.mark.slow
def test_the_verdict_names_crossings_in_one_sentence_a_metric(report: Report) -> None:
    (line,) = report.verdicts
    assert line.startswith("By val_loss, masked diffusion overtakes AR at ")
    assert "with 12.8k unique tokens" in line
    assert "NELBO" in line
    titles = [section.title for section in report.sections]
    for title in (
        "Runs", "Cost", "Along epochs", "Against early-stopped AR", "What unique tokens are worth",
        "How the crossover moves with unique tokens", "All groups and metrics",
        "Put together: val_loss", "Where overfitting begins", "Scaling laws", "Provenance",
    ):  # fmt: skip
        assert title in titles


def test_every_table_and_figure_has_sql_that_runs(study: Path, report: Report) -> None:
    for section in report.sections:
        assert section.sql, section.title
        for statement in section.sql:
            assert query(study, statement).height > 0, section.title


def test_the_page_shows_the_sql_as_it_runs(study: Path, page: str) -> None:
    blocks = [unescape(text) for text in re.findall(r"(?s)<pre>(.*?)</pre>", _markup(page))]
    assert len(blocks) >= 10
    for block in set(blocks):
        query(study, block)


def test_the_crossovers_of_the_page_are_those_its_sql_gives(study: Path, report: Report) -> None:
    section = next(s for s in report.sections if s.title.startswith("Where diffusion overtakes"))
    stored = query(study, section.sql[0]).filter(axis="epochs")
    shown = [row["crossover"] for row in section.rows if row["axis"] == "epochs"]
    assert shown == [f"{value:.3g} epochs" for value in stored["crossover"]]


def test_fits_name_what_is_not_identified(report: Report) -> None:
    section = next(s for s in report.sections if s.title == "Scaling laws")
    (row,) = section.rows
    a = row["parameters"].split("; ")[1]
    assert a.startswith("A = ")
    assert "unbounded" in a
    assert a.endswith("not identified)")
    assert "not identified" not in row["parameters"].split("; ")[0]
    assert row["held-out error"] == "1 %"


def test_figures_are_there_before_any_script_runs(page: str) -> None:
    head = page[: page.index("</main>")]
    assert head.count("<figure") == head.count("<svg") > 5
    for spec in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S):
        assert json.loads(spec)["config"]


def test_drawings_on_one_page_have_names_of_their_own(page: str) -> None:
    ids = re.findall(r'<clipPath id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 0
    assert set(re.findall(r'clip-path="url\(#([^)]+)\)"', page)) <= set(ids)


@pytest.mark.slow
def test_imported_curves_have_a_report_that_says_so(results: Path, tmp_path: Path) -> None:
    import_runs("reference", None, results)
    out = write_report(results, "reference", tmp_path / "r.html", metrics=["hellaswag_acc_norm"])
    page = out.read_text()
    assert "6 imported" in page
    assert "superdata_fig1.csv" in page
    assert "has not overtaken by 95.7B tokens with 10B unique tokens, a lower bound" in page
    assert "no FLOPs are known" in page  # under what is missing


def test_a_study_of_one_objective_still_has_a_report(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("a", AR, state="interrupted")
    ingest(results)
    page = write_report(results, "made", tmp_path / "r.html").read_text()
    assert "Nothing to compare yet." in page
    assert "no run of made with val_loss has training.objective" in page
    assert "1 of 1 runs have not finished" in page
    assert "<svg" in page  # its curves


def test_a_study_without_numbers_still_has_a_report(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("a", {}, state="planned")
    ingest(results)
    page = write_report(results, "made", tmp_path / "r.html").read_text()
    assert "no metric to compare has been evaluated yet" in page


@pytest.mark.slow
def test_a_store_that_cannot_be_written_has_a_report_too(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputError("read-only")

    monkeypatch.setattr("workbench.report.comparisons.keep_crossovers", refuse)
    assert study_report(study, "made", ["val_loss"]).verdicts


@pytest.mark.parametrize(
    ("study_name", "metrics", "message"),
    [("mad", None, "did you mean 'made'"), ("made", ["val_los"], "did you mean 'val_loss'")],
)
def test_unknown_studies_and_metrics_are_named(
    study: Path, tmp_path: Path, study_name: str, metrics: list[str] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_report(study, study_name, tmp_path / "r.html", metrics=metrics)
    assert not list(tmp_path.glob("*.html"))


def test_only_html_is_written(study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.html"):
        write_report(study, "made", tmp_path / "r.pdf")
