"""A study as one HTML file: question, runs, cost, figures, answers, provenance, and the SQL behind
each number. It opens without a network. Or several studies as one Markdown document."""

from pathlib import Path

from workbench.errors import InputError, WorkbenchError
from workbench.figures import Paper
from workbench.report.content import study_report
from workbench.report.html import render
from workbench.report.sections import Report
from workbench.runs.files import replacing


def write_report(
    results: Path,
    study: str,
    out: Path,
    *,
    metrics: list[str] | None = None,
    paper: Paper | None = None,
) -> Path:
    """Write a study's report; if that fails, no partial file is left.

    Args:
        out: the .html file to write.
        metrics: the metrics to compare; all that were evaluated by default.
        paper: what figures are made for; a screen by default.

    Raises:
        InputError: there is no such study or metric, or the suffix is not .html.
        WorkbenchError: the file cannot be written.
    """
    _check_suffix(out)
    return write_page(study_report(results, study, metrics), out, paper)


def _check_suffix(out: Path) -> None:
    if out.suffix not in (".html", ".htm"):
        raise InputError(f"--out {out}: expected an .html file, or .md.")


def write_page(report: Report, out: Path, paper: Paper | None = None) -> Path:
    """Write a report as one HTML file; if that fails, no partial file is left.

    Raises:
        InputError: the suffix is not .html.
        WorkbenchError: the file cannot be written.
    """
    _check_suffix(out)
    page = render(report, paper)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise WorkbenchError(f"{out}: cannot be written: {error.strerror}.") from error
    return out
