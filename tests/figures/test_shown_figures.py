"""Figures as the app shows them: any key as colour, any axis, fitted to the page, dark."""

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from tests.made_runs import MakeRun
from workbench.analysis.config_diff import configuration_diff
from workbench.analysis.curves import load_curves
from workbench.conditions import one_of
from workbench.errors import InputError
from workbench.figures import (
    Figure,
    crossover_figure,
    curves_figure,
    generation_flops_figure,
    loss_against_accuracy_figure,
    nll_gap_figure,
)
from workbench.figures.any_table import quick_figure, spans_decades
from workbench.figures.dark import DARK, contrast, darkened, on_dark
from workbench.figures.learning_curves import Look
from workbench.figures.panel_width import fitted
from workbench.figures.points import thinned
from workbench.figures.theme import COLOURS, OTHERS, palette, place_of
from workbench.planning.flops import named_shape
from workbench.store import ingest

UNIQUE = "data.unique_tokens"


def colours(spec: Any) -> set[str]:
    text = json.dumps(spec)
    return {text[i : i + 7] for i in range(len(text)) if text[i] == "#"}


def test_any_key_can_be_the_colour_and_objectives_are_then_dashes(study: Path) -> None:
    figure = curves_figure(study, "made", ["val_loss"], colour=UNIQUE)
    assert figure.data["series"].unique(maintain_order=True).sort().to_list() == [
        "12.8k unique tokens", "32k unique tokens", "6.4k unique tokens",
    ]  # fmt: skip
    assert set(figure.data["label"]) == {"objective ar", "objective mdlm"}
    text = json.dumps({k: v for k, v in figure.to_dict().items() if k != "datasets"})
    assert not any(colour in text for colour in COLOURS.values())
    with pytest.raises(InputError, match="no run has the key"):
        curves_figure(study, "made", ["val_loss"], colour="model.colour")


def test_only_chosen_runs_are_drawn(study: Path) -> None:
    figure = curves_figure(study, "made", ["val_loss"], where=(one_of(UNIQUE, [6_400, 12_800]),))
    assert set(figure.data["label"]) == {"6.4k unique tokens", "12.8k unique tokens"}
    figure = curves_figure(study, "made", ["val_loss"], where=(one_of("run_id", ["a64000"]),))
    assert set(figure.data["curve"]) == {"a64000"}
    with pytest.raises(InputError, match="no row with"):
        curves_figure(study, "made", ["val_loss"], where=(one_of(UNIQUE, [1]),))
    panels = loss_against_accuracy_figure(study, "made", where=(one_of(UNIQUE, [6_400]),))
    assert set(panels.data["label"]) == {""}
    gaps = nll_gap_figure(study, "made", where=(one_of(UNIQUE, [6_400, 32_000]),))
    assert gaps.data["label"].n_unique() == 2


def test_every_point_names_the_runs_behind_it(study: Path) -> None:
    figure = curves_figure(study, "made", ["val_loss"])
    known = {curve.run_id for curve in load_curves(study, "made", "val_loss").curves}
    assert {run for curve in set(figure.data["curve"]) for run in curve.split()} == known


def test_scales_are_as_asked_and_a_logarithm_of_nothing_is_refused(study: Path) -> None:
    def scales(look: Look) -> str:
        spec = curves_figure(study, "made", ["val_loss"], look=look).to_dict()
        return json.dumps({k: v for k, v in spec.items() if k != "datasets"})

    assert scales(Look()).count('"type": "log"') > 0
    assert scales(Look(log_x=False)).count('"type": "log"') == 0
    assert scales(Look(log_y=True)).count('"type": "log"') > scales(Look()).count('"type": "log"')


def test_zero_has_a_place_on_a_linear_axis_and_not_on_a_logarithm(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", {0: 5.0, 1: 4.0, 2: 3.0})
    ingest(results)
    linear = curves_figure(results, "made", ["val_loss"], look=Look(log_x=False))
    assert linear.data["x"].min() == 0
    assert curves_figure(results, "made", ["val_loss"]).data["x"].min() > 0  # type: ignore[operator]
    make_run("b", {1: -1.0, 2: 0.0}, overrides=["training.lr=0.1"])
    ingest(results)
    with pytest.raises(InputError, match="no place for values of 0"):
        curves_figure(results, "made", ["val_loss"], look=Look(log_y=True))


def swept(results: Path, make_run: MakeRun, *, rates: int, decays: int = 1) -> None:
    """A run for each objective, learning rate and weight decay."""
    for rate, decay, objective in product(range(rates), range(decays), ("ar", "mdlm")):
        values = {step: 5.0 - step / 10 + rate / 10 + decay for step in range(1, 9)}
        own = [f"training.lr={(rate + 1) / 1e4}", f"training.weight_decay={decay}"]
        own.append(f"training.objective='{objective}'")
        make_run(f"{objective}-{rate}-{decay}", values, overrides=own)
    ingest(results)


def test_no_two_configurations_of_a_panel_share_a_dash_unless_the_figure_says_so(
    results: Path, make_run: MakeRun
) -> None:
    swept(results, make_run, rates=8, decays=2)
    figure = curves_figure(results, "made", ["val_loss"])
    # The key with the most values has the panels, the other one the dashes.
    assert set(figure.data["panel"]) == {f"lr {(rate + 1) / 1e4:.5g}" for rate in range(8)}
    assert set(figure.data["label"]) == {"weight_decay 0", "weight_decay 1"}
    together = curves_figure(results, "made", ["val_loss"], facet="none", single=True)
    assert set(together.data["panel"]) == {""}
    assert "16 configurations a panel; dashes show weight_decay alone" in str(together.to_dict())
    for drawn in (figure, together):
        dashes = [
            encoding["strokeDash"]["scale"]["range"]
            for encoding in encodings(drawn.to_dict()) if "field" in encoding.get("strokeDash", {})
        ]  # fmt: skip
        assert all(len({tuple(dash) for dash in own}) == len(own) for own in dashes)


def test_one_objective_has_its_key_with_the_most_values_in_colours(
    results: Path, make_run: MakeRun
) -> None:
    for number in range(16):
        make_run(f"r{number}", {1: 5.0, 2: 4.0}, overrides=[f"training.lr={(number + 1) / 1e4}"])
    ingest(results)
    figure = curves_figure(results, "made", ["val_loss"])
    assert figure.data["series"].n_unique() == 16
    colour = next(e["color"] for e in encodings(figure.to_dict()) if "color" in e)
    assert len(set(colour["scale"]["range"])) == 16
    assert len(colour["legend"]["values"]) <= 12


def test_past_twenty_curves_the_median_and_the_middle_half_stand_for_them(
    results: Path, make_run: MakeRun
) -> None:
    swept(results, make_run, rates=13)
    every = curves_figure(results, "made", ["val_loss"], facet="none", single=True).data
    figure = curves_figure(results, "made", ["val_loss"], facet="none")
    assert every["curve"].n_unique() == 26
    assert figure.data["curve"].n_unique() == 2
    assert "median and middle half of the configurations" in str(figure.to_dict()["title"])
    last = every.filter((pl.col("x") == every["x"].max()) & (pl.col("objective") == "ar"))
    row = figure.data.filter((pl.col("x") == every["x"].max()) & (pl.col("objective") == "ar"))
    assert row["value"][0] == pytest.approx(last["value"].median())
    assert row["low"][0] == pytest.approx(last["value"].quantile(0.25, "linear"))
    assert set(row["curve"][0].split()) == set(last["curve"])


def test_an_axis_has_the_limits_that_are_asked_for(study: Path) -> None:
    part = curves_figure(study, "made", ["val_loss"], look=Look(x_from=2e5, x_to=5e5))
    (x,) = {json.dumps(e["x"]["scale"]["domain"]) for e in encodings(part.to_dict()) if "x" in e}
    low, high = json.loads(x)
    assert 1.8e5 < low <= 2e5 < 5e5 <= high < 5.6e5
    with pytest.raises(InputError, match="no curve has a point from 1e"):
        curves_figure(study, "made", ["val_loss"], look=Look(x_from=1e15))
    with pytest.raises(InputError, match="no curve has a point"):
        curves_figure(study, "made", ["val_loss"], look=Look(x_from=3e5, x_to=2e5))


@pytest.mark.parametrize(
    ("text", "place"), [("", None), ("20k", 20_000), ("1.5B", 1.5e9), ("3e20", 3e20), ("0", 0)]
)
def test_places_are_read_as_they_are_written(text: str, place: float | None) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize("text", ["k", "many", "nan", "1e999"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a place along the axis"):
        place_of(text)


def encodings(spec: Any) -> Iterator[dict[str, Any]]:
    """Every encoding of a chart."""
    if isinstance(spec, dict):
        if "encoding" in spec:
            yield spec["encoding"]
        for key, value in spec.items():
            if key not in ("encoding", "datasets"):
                yield from encodings(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from encodings(value)


@given(st.integers(4, 400), st.integers(2, 3000), st.booleans())
def test_thinning_keeps_ends_and_extremes_within_the_limit(
    limit: int, count: int, log: bool
) -> None:
    rng = np.random.default_rng(count)
    x = np.sort(rng.uniform(1, 1e6, count))
    y = rng.normal(size=count)
    chosen = thinned(x, y, limit, log=log)
    assert len(chosen) <= limit
    assert {0, count - 1, int(y.argmin()), int(y.argmax())} <= set(chosen.tolist())


def test_a_part_of_the_crossovers_draws_a_part_of_the_panels(study: Path) -> None:
    from workbench.analysis.crossover import crossovers

    rows = crossovers(study, "made", "val_loss", "tokens", intervals=False)
    figure = crossover_figure(study, "made", "val_loss", "tokens", rows[1:2])
    assert figure.data["panel"].n_unique() == 1
    assert "12.8k" in figure.data["panel"][0]


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_colour_can_be_seen_on_a_dark_page(rgb: tuple[int, int, int]) -> None:
    colour = "#" + "".join(f"{value:02x}" for value in rgb)
    if len(set(rgb)) > 1:
        assert contrast(on_dark(colour), DARK) >= 2.99


def test_objectives_keep_their_colours_on_a_dark_page(study: Path) -> None:
    for colour in (*COLOURS.values(), *OTHERS[:-1]):
        assert on_dark(colour) == colour
    spec = curves_figure(study, "made", ["val_loss"]).to_dict()
    dark = darkened(spec)
    assert set(COLOURS.values()) <= colours(dark)
    assert dark["config"]["axis"]["labelColor"] != spec["config"]["axis"]["labelColor"]
    assert contrast(dark["config"]["axis"]["labelColor"], DARK) > 7
    assert dark["datasets"] is spec["datasets"]
    assert on_dark("training tokens") == "training tokens"


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1160, 1800])
def test_figures_fill_the_page_and_do_not_leave_it(study: Path, width: int) -> None:
    four = curves_figure(study, "made", ["val_loss", "cloze_acc", "cloze_nll_true"], facet=UNIQUE)
    for figure in (four, nll_gap_figure(study, "made")):
        spec = fitted(figure.to_dict(), width)
        columns = spec["columns"]
        first = spec["concat"][0]
        side = first.get("width") or first["vconcat"][0]["width"]
        assert columns * (side + 50) <= width
        if width > 1000:
            assert columns * (side + 90) >= min(width, columns * 900) * 0.95
    row = fitted(generation_flops_figure(named_shape("1B", 50_258)).to_dict(), width)
    panels = row.get("hconcat") or [{"width": max(view["width"] for view in row["vconcat"])}]
    assert sum(panel["width"] for panel in panels) <= width
    single = fitted(curves_figure(study, "made", ["val_loss"]).to_dict(), width)
    assert single["concat"][0]["width"] <= width


def test_the_colours_of_a_palette_differ() -> None:
    for count in (1, 5, 6, 20):
        assert len({style.colour for style in palette(count)}) == count


def test_configurations_differ_where_they_differ(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 5.0})
    make_run("b", {1: 5.0}, overrides=["training.lr=0.5"])
    make_run("c", {1: 5.0}, overrides=["training.objective='mdlm'", "training.lr=0.5"])
    ingest(results)
    assert configuration_diff(results, ["a", "b"]) == [{"key": "training.lr", "a": 3e-3, "b": 0.5}]
    rows = {row["key"]: row for row in configuration_diff(results, ["a", "c"])}
    assert rows["training.objective"] == {"key": "training.objective", "a": "ar", "c": "mdlm"}
    assert rows["training.noise_schedule"]["a"] is None
    with pytest.raises(InputError, match="two runs or more"):
        configuration_diff(results, ["a", "a"])
    with pytest.raises(InputError, match="no run zz"):
        configuration_diff(results, ["a", "zz"])


def test_a_quick_figure_draws_any_table_and_refuses_what_it_cannot() -> None:
    frame = pl.DataFrame(
        {"a.b [1]": [1.0, 2.0, None], "n": [3, 4, 5], "who": ["ar", "mdlm", "ar"], "w": ["x"] * 3}
    )
    figure = quick_figure(frame, "a.b [1]", "n", "who", log_x=True)
    assert figure.data.height == 2
    assert set(COLOURS.values()) <= colours(figure.to_dict())
    assert quick_figure(frame, "who", "n", lines=True).to_dict()
    with pytest.raises(InputError, match="expected numbers"):
        quick_figure(frame, "n", "who")
    with pytest.raises(InputError, match="no row"):
        quick_figure(frame.clear(), "n", "n")
    many = pl.DataFrame({"x": range(30_000), "y": range(30_000)})
    with pytest.raises(InputError, match="more than"):
        quick_figure(many, "x", "y")
    assert spans_decades(pl.Series([1, 100]))
    assert not spans_decades(pl.Series([0, 100]))
    assert not spans_decades(pl.Series(["a"]))
    assert not spans_decades(pl.Series([], dtype=pl.Int64))


@pytest.mark.parametrize("kind", ["effects", "training_flops"])
def test_rows_of_long_names_fit_on_a_phone(kind: str, every: dict[str, Figure]) -> None:
    """As drawn: names are broken over lines, and the legend begins where the panel does."""
    spec = every[kind].to_dict()
    rows = [row for rows in spec["datasets"].values() for row in rows]
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str) and name in ("change", "group", "name"):
                row[name] = f"{value}, input_mask 0.3 (with mask_aux_weight), 2 times the FLOPs"
    svg = vl_convert.vegalite_to_svg(fitted(spec, 358))
    width = re.search(r'width="([\d.]+)"', svg)
    assert width
    assert float(width[1]) <= 358
