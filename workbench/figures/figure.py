"""A figure, and its files: SVG, PNG, PDF, a page of HTML, or Vega-Lite as JSON."""

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from workbench.errors import InputError
from workbench.figures.paper import FAMILIES, Paper, caption, on_paper, printed
from workbench.figures.theme import csv_frame
from workbench.runs.files import replacing

SUFFIXES = (".svg", ".png", ".pdf", ".html", ".json")
_DPI = 300
_SCREEN_SCALE = 2
_GROUND = re.compile(r'<rect width="[\d.]+"')
_SIZE = re.compile(r'width="[\d.]+" height="([\d.]+)" viewBox="0 0 [\d.]+ [\d.]+"')


@dataclass(frozen=True)
class Figure:
    """A chart with the data that it draws, one row a mark."""

    chart: alt.TopLevelMixin
    data: pl.DataFrame
    title: str
    caption: tuple[str, ...] = ()
    """What the chart leaves to its caption, where it was made for paper."""
    paper: Paper | None = None
    """What `for_paper` made it for: files then have its true size."""

    def to_dict(self) -> dict[str, Any]:
        """The chart as Vega-Lite, validated."""
        return self.chart.to_dict()

    def to_json(self) -> str:
        return self.chart.to_json()


def for_paper(figure: Figure, paper: Paper) -> Figure:
    """The figure as it is printed.

    Raises:
        InputError: the figure has no room on that paper.
    """
    spec = figure.to_dict()
    text = () if paper.title else tuple(caption(spec))
    chart: Any = alt.Chart.from_dict(on_paper(spec, paper))
    return replace(figure, chart=chart, caption=text, paper=paper)


def save(
    figure: Figure | alt.TopLevelMixin,
    path: Path,
    *,
    save_data: bool = False,
    paper: Paper | None = None,
) -> Figure:
    """Write a figure as .svg, .png, .pdf, .html or .json, by its suffix.

    On paper, SVG and PDF have the paper's true size and PNG has 300 dots an inch; a PDF has the
    parts of its fonts that it uses, and an SVG names fonts of equal widths for other systems.

    Args:
        save_data: write the data behind a `Figure` as .csv beside it too.
        paper: what it is made for; by default what `for_paper` made it for, or a screen.

    Returns:
        The figure as it was written, whose `caption` is what it leaves to its caption.

    Raises:
        InputError: another suffix, a font that is not installed, no room for the figure on the
            paper, or a file that cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"--figure {path}: expected .svg, .png, .pdf, .html or .json.")
    if not isinstance(figure, Figure):
        figure = Figure(figure, pl.DataFrame(), "")
    if paper is not None:
        figure = for_paper(figure, paper)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            _write(figure, temporary, path.suffix)
        if save_data and figure.data.width:
            with replacing(path.with_suffix(".csv")) as temporary:
                csv_frame(figure.data).write_csv(temporary)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--figure {path}: cannot be written: {reason}.") from None
    return figure


def svg_of(figure: Figure) -> str:
    """The figure as SVG, on paper in its true size."""
    import vl_convert as vlc

    if figure.paper is None:
        return str(vlc.vegalite_to_svg(figure.to_dict()))
    return _true_size(vlc.vegalite_to_svg(printed(figure.to_dict())), figure.paper, "pt")


def own_ids(svg: str, prefix: str) -> str:
    """A drawing with a prefix before its ids: all drawings number their clipping paths from 1."""
    return svg.replace(' id="', f' id="{prefix}').replace("url(#", f"url(#{prefix}")


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>body {{ margin: 0; background: #fff; color: #222; overflow-x: auto; }}
svg {{ display: block; }}</style>
</head>
<body>
<div id="figure" role="img" aria-label="{title}">{svg}</div>
<script type="application/json" id="spec">{spec}</script>
<script type="module">{script}
const spec = JSON.parse(document.getElementById("spec").textContent);
window.vegaEmbed("#figure", spec, {options});
</script>
</body>
</html>
"""
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "img-src data: blob:"
)
"""What a page of figures may load: nothing from anywhere."""
EMBED_OPTIONS: dict[str, Any] = {
    "renderer": "svg",
    "mode": "vega-lite",
    "actions": {
        "export": {"svg": True, "png": True}, "source": False, "compiled": False, "editor": False,
    },
}  # fmt: skip
"""Of vega-embed: its menu saves files, and leads nowhere."""


def file_name(title: str) -> str:
    """A title as a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-.") or "figure"


def html_of(figure: Figure) -> str:
    """The figure as one page of HTML, to open or to put into a frame: it loads nothing, shows an
    SVG, and becomes interactive where scripts may run."""
    title = escape(figure.title or "figure")
    name = {"downloadFileName": figure.title or "figure"}
    return _PAGE.format(
        policy=POLICY,
        title=title,
        svg=svg_of(figure),
        spec=_in_script(figure.to_dict()),
        script=embedding_script(),
        options=_in_script(EMBED_OPTIONS | name),
    )


def _in_script(document: dict[str, Any]) -> str:
    return json.dumps(document).replace("<", "\\u003c")


@cache
def embedding_script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script: bundling takes a second."""
    import vl_convert as vlc

    bundle = str(vlc.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    return bundle.replace("</script", "<\\/script")


def _write(figure: Figure, path: Path, suffix: str) -> None:
    paper, chart = figure.paper, figure.chart
    if suffix == ".svg":
        path.write_text(svg_of(figure), encoding="utf-8")
        return
    if suffix == ".html":
        path.write_text(html_of(figure), encoding="utf-8")
        return
    if suffix == ".json" or paper is None:
        options: dict[str, Any] = {"format": suffix[1:]}
        if suffix == ".png":
            options["scale_factor"] = _SCREEN_SCALE
        chart.save(str(path), **options)
        return
    import vl_convert as vlc

    svg = vlc.vegalite_to_svg(printed(chart.to_dict()))
    sheet = _true_size(svg, paper, "")
    pdf = vlc.svg_to_pdf(sheet)
    _check_font(pdf, paper)
    if suffix == ".pdf":
        path.write_bytes(pdf)
        return
    # A tenth of a point more, which is no dot: the renderer takes the whole dots below.
    path.write_bytes(vlc.svg_to_png(_true_size(svg, paper, "", more=0.1), ppi=_DPI))


def _true_size(svg: str, paper: Paper, unit: str, more: float = 0.0) -> str:
    """A drawing scaled to the paper's width, exactly: what a layout leaves free is at its right."""

    def size(match: re.Match[str]) -> str:
        height = float(match[1])
        return (
            f'width="{paper.points + more:g}{unit}" height="{height * paper.scale:.6g}{unit}" '
            f'viewBox="0 0 {paper.pixels:.6g} {height:g}"'
        )

    scaled, count = _SIZE.subn(size, svg, count=1)
    assert count == 1, "an SVG of Vega begins with its size"
    return _GROUND.sub(f'<rect width="{paper.pixels:.6g}"', scaled, count=1)


def _check_font(pdf: bytes, paper: Paper) -> None:
    """Refuse a font for which another one was taken."""
    if paper.font in FAMILIES:
        return
    used = {name.decode() for name in re.findall(rb"/BaseFont /[A-Z]{6}\+([\w-]+)", pdf)}
    wanted = re.sub(r"\W", "", paper.font).lower()
    if not any(re.sub(r"\W", "", name).lower().startswith(wanted) for name in used):
        raise InputError(
            f"font {paper.font}: is not installed here, {', '.join(sorted(used))} was taken. "
            "Install it, or choose sans or serif, which come with the workbench or the system."
        )
