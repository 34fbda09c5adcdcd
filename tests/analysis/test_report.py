"""Reports: whole, self-contained, escaped, and with SQL that runs."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from tests.store.conftest import MakeRun
from workbench.analysis.report import write_report
from workbench.analysis.report.content import study_report
from workbench.errors import InputError
from workbench.importing import import_runs
from workbench.store import ingest, query

STEPS = range(1, 400, 20)
AR = {s: 2.0 + abs(s - 100) / 100 for s in STEPS}
DIFFUSION = {s: 5.0 - s / 120 for s in STEPS}


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    for unique in (12_800, 32_000):
        u = f"data.unique_tokens={unique}"
        make_run(f"a{unique}", AR, overrides=[u])
        make_run(f"d{unique}", DIFFUSION, overrides=[u, "training.objective='mdlm'"])
    path = results / "studies" / "made.json"
    document = json.loads(path.read_text())
    document["question"] = "<script>alert(1)</script> & more?"
    path.write_text(json.dumps(document))
    ingest(results)
    return results


def test_a_report_loads_nothing_from_elsewhere(study: Path, tmp_path: Path) -> None:
    page = write_report(study, "made", tmp_path / "r.html").read_text()
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", markup)
    assert "@import" not in markup
    assert "url(" not in markup.replace("url(#", "")
    assert "cdn.jsdelivr.net" not in markup


def test_text_from_a_recipe_stays_text(study: Path, tmp_path: Path) -> None:
    page = write_report(study, "made", tmp_path / "r.html").read_text()
    assert "<script>alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more?" in page


def test_the_verdict_names_crossings_and_bounds(study: Path) -> None:
    report = study_report(study, "made", None)
    (line,) = report.verdicts
    assert line.startswith("val_loss: with 12.8k unique tokens")
    assert "masked diffusion overtakes at" in line
    titles = [section.title for section in report.sections]
    for title in ("Runs", "Cost", "Against early-stopped AR", "What unique tokens are worth",
                  "Where overfitting begins", "Provenance"):  # fmt: skip
        assert title in titles


def test_every_query_of_a_report_runs(study: Path, tmp_path: Path) -> None:
    page = write_report(study, "made", tmp_path / "r.html").read_text()
    page = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    blocks = [unescape(text) for text in re.findall(r"<pre>(.*?)</pre>", page, flags=re.S)]
    assert len(blocks) >= 6
    for block in blocks:
        for statement in filter(str.strip, block.split(";")):
            query(study, statement)


def test_figures_are_there_before_any_script_runs(study: Path, tmp_path: Path) -> None:
    page = write_report(study, "made", tmp_path / "r.html").read_text()
    assert page.count("<figure") == page.count("<svg") - page.count("<svg", page.index("</main>"))
    for spec in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S):
        assert json.loads(spec)["$schema"].startswith("https://vega.github.io/schema")


def test_imported_curves_have_a_report_that_says_so(results: Path, tmp_path: Path) -> None:
    import_runs("reference", None, results)
    page = write_report(results, "reference", tmp_path / "r.html").read_text()
    assert "imported" in page
    assert "superdata_fig1.csv" in page
    assert "has not overtaken by" in page  # 10B unique tokens: a bound
    assert "no FLOPs are known" in page  # under what is missing


def test_a_study_of_one_objective_still_has_a_report(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("a", AR, state="interrupted")
    ingest(results)
    page = write_report(results, "made", tmp_path / "r.html").read_text()
    assert "Nothing to compare yet." in page
    assert "no runs of ar and mdlm" in page
    assert "1 interrupted" in page


@pytest.mark.parametrize(
    ("study_name", "metrics", "told"),
    [("mad", None, "did you mean 'made'"), ("made", ["val_los"], "did you mean 'val_loss'")],
)
def test_unknown_studies_and_metrics_are_named(
    study: Path, tmp_path: Path, study_name: str, metrics: list[str] | None, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        write_report(study, study_name, tmp_path / "r.html", metrics=metrics)
    assert not list(tmp_path.glob("*.html"))


def test_only_html_is_written(study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.html"):
        write_report(study, "made", tmp_path / "r.pdf")
