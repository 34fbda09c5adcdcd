"""A figure as one page of HTML: it loads nothing, and what the data say is never markup."""

import re

import altair as alt
import polars as pl

from workbench.figures import Figure
from workbench.figures.figure import file_name, html_of

NASTY = "</script><script>alert(1)</script>"


def test_a_page_has_a_drawing_and_refuses_to_load_anything() -> None:
    data = pl.DataFrame({"x": [1, 2], "y": [3.0, 4.0], "name": [NASTY, NASTY]})
    chart = alt.Chart(data).mark_line().encode(x="x", y="y", color="name")
    page = html_of(Figure(chart, data, f"losses {NASTY}"))
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert "default-src 'none'" in markup
    assert "<svg" in markup
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", markup)
    assert "<script>alert" not in page
    assert '"editor": false' in page


def test_a_title_becomes_the_name_of_a_file() -> None:
    assert file_name("a: b/../c") == "a-b-..-c"
    assert file_name("///") == "figure"
