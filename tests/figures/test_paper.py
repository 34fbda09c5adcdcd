"""Figures in print: true sizes, fonts in the file, names that meet nothing, nothing hidden."""

import json
import re
import struct
import zlib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import vl_convert as vlc
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFont

from tests.made_runs import MakeRun
from workbench.errors import InputError
from workbench.figures import Figure, Paper, curves_figure, for_paper, save
from workbench.figures.axes import beginning, even_ticks, log_ticks
from workbench.figures.direct_labels import spread
from workbench.figures.panel_width import panels_of
from workbench.figures.paper import FAMILIES, printed, width_of
from workbench.figures.text_size import text_width, wrapped_to
from workbench.figures.theme import SIZES
from workbench.store import ingest

KINDS = ("crossover", "facets", "put_together", "generation_flops", "backtest")
"""Kinds that name their lines directly on paper a column wide."""


def liberation(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of the system, by which another program measures text."""
    try:
        return ImageFont.truetype(f"Liberation{name}.ttf", size)
    except OSError:
        pytest.skip("the Liberation fonts are not installed here")


def names_in(spec: dict[str, Any], view: dict[str, Any]) -> list[dict[str, float]]:
    """The boxes in pixels of the names at lines' ends of a panel, as measured by another renderer
    of the same font's widths."""
    font = liberation("Sans-Regular", 110)
    boxes = []
    for layer in view["layer"]:
        rows = layer.get("data", {}).get("values") or spec["datasets"].get(
            layer.get("data", {}).get("name"), []
        )
        if layer["mark"] != "text" and layer["mark"].get("type") != "text":
            continue
        if layer["encoding"].get("text", {}).get("field") != "name":
            continue
        x_scale, y_scale = axes_of(view)
        for row in rows:
            left = x_scale(row["x"]) * view["width"]
            middle = (1 - y_scale(row["y"])) * view["height"]
            width = font.getlength(row["name"]) * SIZES.label / 110
            boxes.append({
                "left": left, "right": left + width,
                "top": middle - SIZES.label / 2, "bottom": middle + SIZES.label / 2,
            })  # fmt: skip
    return boxes


def axes_of(view: dict[str, Any]) -> tuple[Any, Any]:
    """A panel's axes as functions from their units to shares of the panel."""
    made = []
    for channel in ("x", "y"):
        scales = [
            layer["encoding"][channel]["scale"]
            for layer in view["layer"]
            if layer["encoding"].get(channel, {}).get("scale")
        ]
        assert len({json.dumps(scale["domain"]) for scale in scales}) == 1
        low, high = scales[0]["domain"]
        inner = np.log if scales[0].get("type") == "log" else (lambda value: value)
        made.append(lambda value, f=inner, a=low, b=high: float((f(value) - f(a)) / (f(b) - f(a))))
    return made[0], made[1]


@pytest.fixture(scope="module")
def column(every: dict[str, Figure]) -> dict[str, Figure]:
    """Figures a column wide."""
    return {name: for_paper(every[name], Paper(3.25)) for name in (*KINDS, "training_flops")}


def check(figures: Iterable[Figure]) -> None:
    for made in figures:
        spec = made.to_dict()  # validated
        assert made.paper
        taken = width_of(vlc.vegalite_to_svg(printed(spec)))
        assert made.paper.pixels * 0.97 <= taken <= made.paper.pixels, made.title
        assert "title" not in spec or "concat" not in spec, made.title
        assert made.caption, made.title


@pytest.mark.slow
def test_figures_are_as_wide_as_the_paper_and_valid(column: dict[str, Figure]) -> None:
    check(column.values())


@pytest.mark.long
@pytest.mark.parametrize("width", [3.25, 5.0, 6.75])
def test_every_kind_is_as_wide_as_the_paper_and_valid(
    every: dict[str, Figure], width: float
) -> None:
    check(for_paper(figure, Paper(width)) for figure in every.values())


@pytest.mark.slow
def test_names_at_the_ends_neither_meet_nor_leave_their_panel(column: dict[str, Figure]) -> None:
    labelled = []
    for name, figure in column.items():
        spec = figure.to_dict()
        for view in panels_of(spec):
            boxes = names_in(spec, view) if "layer" in view else []
            labelled += [name] if boxes else []
            for place, box in enumerate(boxes):
                assert box["left"] >= 0, name
                assert box["right"] <= view["width"], name
                assert box["top"] >= -1, name
                assert box["bottom"] <= view["height"] + 1, name
                for other in boxes[:place]:
                    apart = max(
                        box["top"] - other["bottom"], other["top"] - box["bottom"],
                        box["left"] - other["right"], other["left"] - box["right"],
                    )  # fmt: skip
                    assert apart >= 0, name
    assert set(KINDS) <= set(labelled)


@pytest.mark.slow
def test_files_have_the_true_size_and_their_fonts(
    column: dict[str, Figure], tmp_path: Path
) -> None:
    pdf, png, svg = (tmp_path / f"figure.{kind}" for kind in ("pdf", "png", "svg"))
    for path in (pdf, png, svg):
        save(column["crossover"], path)
    content = pdf.read_bytes()
    (box,) = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content)
    assert float(box[0]) == 234  # points
    fonts = re.findall(rb"/FontName /[A-Z]{6}\+([\w-]+)", content)
    assert fonts, content[:200]
    assert content.count(b"/FontFile2") + content.count(b"/FontFile3") == len(fonts)  # embedded
    with Image.open(png) as image:
        assert image.width == 975
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert image.height == pytest.approx(float(box[1]) / 72 * 300, abs=1.5)
    text = svg.read_text()
    assert 'width="234pt"' in text[:400]
    assert set(re.findall(r'font-family="([^"]*)"', text.replace("&apos;", "'"))) == {
        FAMILIES["sans"]
    }


@pytest.mark.slow
def test_the_font_and_its_size_are_those_asked_for(
    every: dict[str, Figure], tmp_path: Path
) -> None:
    path = tmp_path / "figure.pdf"
    save(every["onset"], path, paper=Paper(font="serif"))
    assert b"LiberationSerif" in path.read_bytes()
    assert b"LiberationSans" not in path.read_bytes()
    with pytest.raises(InputError, match="font Palatino Nova: is not installed here"):
        save(every["onset"], path, paper=Paper(font="Palatino Nova"))
    with pytest.raises(InputError, match="needs about"):
        save(every["nll_gap"], path, paper=Paper(width=1, font_size=14))
    large = Paper(font_size=10)
    assert large.scale * SIZES.text == 10
    assert large.pixels * large.scale == pytest.approx(234)


def test_a_title_is_drawn_only_if_asked_for_and_otherwise_left_to_the_caption(study: Path) -> None:
    figure = curves_figure(study, "made", ["val_loss"], facet="data.unique_tokens")
    without = for_paper(figure, Paper.of(width="column"))
    assert "made: val_loss" in without.caption[0]
    assert any("upper bound of the NLL" in line for line in without.caption)
    titled = for_paper(figure, Paper.of(width="column", title=True))
    assert titled.to_dict()["title"]["text"] == ["made: val_loss"]
    assert titled.caption == ()


def test_legends_stay_where_they_are_asked_for(study: Path) -> None:
    figure = curves_figure(study, "made", ["val_loss"], facet="data.unique_tokens")
    for labels, count in (("direct", 0), ("legend", 1)):
        spec = for_paper(figure, Paper.of(labels=labels)).to_dict()
        texts = [
            layer for view in panels_of(spec) for layer in view["layer"]
            if layer["mark"].get("type") == "text"
        ]  # fmt: skip
        assert bool(texts) == (count == 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": "broad"}, "expected column, page, or a number of inches"),
        ({"width": 0}, "inches from 1 to 40"),
        ({"width": float("nan")}, "inches from 1 to 40"),
        ({"font_size": 1}, "points from 4 to 40"),
        ({"font": "a'b"}, "name of a font"),
        ({"labels": "none"}, "direct or legend"),
    ],
)
def test_paper_that_no_figure_has_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Paper.of(**options)


def test_the_first_evaluation_does_not_stretch_the_axis_and_is_spoken_of(
    results: Path, make_run: MakeRun
) -> None:
    for name, objective in (("a", "ar"), ("b", "mdlm")):
        make_run(name, {1: 9.0, 100: 4.0, 200: 3.0, 400: 2.5},
                 overrides=[f"training.objective='{objective}'"])  # fmt: skip
    ingest(results)
    figure = curves_figure(results, "made", ["val_loss"])
    assert figure.data["x"].min() == 2048  # the data have it
    spec = figure.to_dict()
    assert "left of the axis: the first evaluation, at 2.05k tokens" in spec["title"]["subtitle"]
    (view,) = panels_of(spec)
    line = view["layer"][0]["encoding"]
    assert line["x"]["scale"]["domain"][0] > 2048 * 50
    assert line["y"]["scale"]["domain"] == [2.5, 4.0]
    assert all(layer["mark"]["clip"] for layer in view["layer"])


@given(st.lists(st.floats(1.001, 50), min_size=1, max_size=30), st.floats(1e-3, 1e9))
def test_an_axis_begins_at_a_point_of_each_curve_and_has_what_it_must(
    ratios: list[float], first: float
) -> None:
    x = np.asarray(first * np.cumprod([1.0, *ratios]), dtype=np.float64)
    begin = beginning([x])
    assert begin.at in x[:2]
    assert (begin.at == x[0]) == (not begin.before)
    kept = beginning([x], keep=[float(x[0]), None])
    assert kept.at == x[0]
    assert not kept.before
    if begin.before:  # it was more than a quarter of the axis
        assert np.log(x[1] / x[0]) > 0.25 * np.log(x[-1] / x[0])


@given(st.lists(st.tuples(st.floats(-50, 250), st.sampled_from([13.2, 26.4, 39.6])), max_size=5))
def test_spread_names_keep_their_order_and_their_room(names: list[tuple[float, float]]) -> None:
    wished, sizes = [wish for wish, _ in names], [size for _, size in names]
    middles = spread(wished, sizes, 200)
    boxes = sorted(
        (middle - size / 2, middle + size / 2) for middle, size in zip(middles, sizes, strict=True)
    )
    for (_, end), (start, _) in pairwise(boxes):
        assert start >= end - 1e-6
    if boxes:
        assert boxes[0][0] >= -1e-6
        assert boxes[-1][1] <= 200 + 1e-6
    assert sorted(range(len(names)), key=lambda i: wished[i]) == sorted(
        range(len(names)), key=lambda i: middles[i]
    )


@pytest.mark.parametrize("bold", [False, True])
def test_text_never_takes_more_room_than_was_counted(bold: bool) -> None:
    style = "Bold" if bold else "Regular"
    texts = (
        "masked diffusion (NELBO, an upper bound of the NLL)", "12.8k unique tokens", "MDLM WAXY",
        "overtakes at 259k tokens (95 %: 246k to 274k)", "mmmm wwww", "dropout none, lr 3e-4",
        "fitted to n_params < 3e+09; error 1.1 %", "AR, imported",
    )  # fmt: skip
    for family in ("Sans", "Serif"):
        font = liberation(f"{family}-{style}", 100)
        for text in texts:
            counted = text_width(text, 100, bold=bold)
            assert font.getlength(text) <= counted <= 1.35 * font.getlength(text), (family, text)
            for line in wrapped_to(text, 900, 100, bold=bold):
                assert font.getlength(line) <= 900 or " " not in line


@given(st.floats(1e-3, 1e12), st.floats(1.2, 1e6), st.integers(3, 8))
def test_ticks_are_few_and_inside(low: float, factor: float, most: int) -> None:
    high = low * factor
    for ticks in (log_ticks(low, high, most), even_ticks(low, high, most)):
        assert len(ticks) <= most
        assert all(low * 0.998 <= tick <= high * 1.002 for tick in ticks)
        assert ticks == sorted(set(ticks))
    assert len(log_ticks(low, high, most)) >= 1


def test_a_png_says_its_resolution_by_the_standard_chunk(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    from workbench.figures.any_table import quick_figure

    path = tmp_path / "figure.png"
    save(for_paper(quick_figure(frame, "x", "y"), Paper.of(width=4)), path)
    content = path.read_bytes()
    place = content.index(b"pHYs")
    x, y, unit = struct.unpack(">IIB", content[place + 4 : place + 13])
    assert (x, y, unit) == (11811, 11811, 1)  # dots a metre
    assert struct.unpack(">I", content[place + 13 : place + 17])[0] == zlib.crc32(
        content[place : place + 13]
    )
