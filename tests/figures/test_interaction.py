"""Figures on a screen answer the mouse; those in files are as they were."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from workbench.figures import Figure, curves_figure
from workbench.figures.interaction import interactive
from workbench.figures.panel_width import panels_of


def on_a_screen(figure: Figure) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    spec = figure.to_dict()
    return interactive(spec, {name: pl.DataFrame(rows) for name, rows in spec["datasets"].items()})


def params(spec: Any) -> list[dict[str, Any]]:
    """Every parameter of a chart, wherever it stands."""
    if isinstance(spec, list):
        return [param for part in spec for param in params(part)]
    if not isinstance(spec, dict):
        return []
    below = [param for key, part in spec.items() if key != "datasets" for param in params(part)]
    return [*spec.get("params", []), *below] if "params" in spec else below


def test_only_what_a_screen_shows_answers_the_mouse(study: Path) -> None:
    figure = curves_figure(study, "made", ["val_loss", "cloze_acc"])
    assert not params(figure.to_dict())
    spec, _ = on_a_screen(figure)
    bound = [param.get("bind") for param in params(spec)]
    assert bound.count("scales") == len(list(panels_of(spec))) == 2
    assert bound.count("legend") == 2, "objectives, and the keys that dashes stand for"
    assert not params(figure.to_dict()), "the figure itself is not changed"


def test_every_curve_of_a_panel_is_listed_at_a_measured_place(study: Path) -> None:
    figure = curves_figure(study, "made", ["val_loss"])
    spec, frames = on_a_screen(figure)
    (values,) = (frame for name, frame in frames.items() if name.startswith("values"))
    assert values["x"].to_list() == figure.data["x"].unique().sort().to_list()
    assert values.width - 1 == figure.data["curve"].n_unique() == 6
    row = figure.data.row(0, named=True)
    text = values.filter(pl.col("x") == row["x"]).row(0)[1]
    assert text == f"{row['value']:.4g} ({row['low']:.4g} to {row['high']:.4g}), 2 seeds"
    (rule,) = (
        layer for view in panels_of(spec) for layer in view["layer"]
        if layer.get("data", {}).get("name", "").startswith("values")
    )  # fmt: skip
    titles = [tip["title"] for tip in rule["encoding"]["tooltip"]]
    assert len(set(titles)) == 7
    assert any(title.startswith("AR, 12.8k unique tokens") for title in titles)
    json.dumps(spec)


def test_what_was_measured_before_and_after_a_place_is_about_its_value() -> None:
    frames = {
        "d": pl.DataFrame({"x": [1.0, 3.0, 2.0], "y": [5.0, 7.0, 9.0], "who": ["ar", "ar", "mdlm"]})
    }
    axes = {name: {"field": name, "type": "quantitative"} for name in ("x", "y")}
    spec = {
        "data": {"name": "d"},
        "mark": "line",
        "encoding": {**axes, "color": {"field": "who", "type": "nominal"}},
    }
    _, drawn = interactive(spec, frames)
    assert drawn["values0"].rows() == [(1.0, "5", None), (2.0, "~6", "9"), (3.0, "7", None)]
