"""The HTML page: figures are SVG first, and become interactive where scripts may run."""

from datetime import UTC, datetime
from typing import Any

from workbench.figures import Paper, for_paper
from workbench.figures.figure import EMBED_OPTIONS, POLICY, embedding_script, own_ids, svg_of
from workbench.messages import power_label, pretty, size_label
from workbench.report.sections import Report
from workbench.version import __version__

_COUNTS = ("tokens", "params", "parameters")


def render(report: Report, paper: Paper | None = None) -> str:
    """The report as one HTML document without references to anything outside it."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("workbench.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    charts: list[dict[str, Any] | None] = []
    for place, section in enumerate(report.sections):
        if section.figure is None:
            charts.append(None)
            continue
        figure = section.figure if paper is None else for_paper(section.figure, paper)
        spec = figure.to_dict()
        svg = own_ids(svg_of(figure), f"svg{place}-")
        charts.append({"svg": svg, "spec": spec, "title": figure.title, "caption": figure.caption})
    return environment.get_template("report.html.jinja").render(
        report=report,
        sections=list(zip(report.sections, charts, strict=True)),
        script=embedding_script() if any(charts) else "",
        policy=POLICY,
        options=EMBED_OPTIONS,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def cell(value: Any, column: str = "") -> str:
    """A table's cell, in reports and in the app: large counts abbreviated, FLOPs and all that is as
    large as 1.02e15, the rest as tables on a terminal show it."""
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) < 1e4:
        return pretty(value)
    if "flops" in column.lower() or abs(value) >= 1e12:
        return power_label(value)
    return size_label(value) if any(part in column for part in _COUNTS) else pretty(value)
