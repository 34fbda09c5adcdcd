"""Figures: valid, true to the store, in colours that mean the same everywhere, bounds marked."""

import dataclasses
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.figures.conftest import AR, DIFFUSION, MDLM, STEPS
from tests.laws.fitting.conftest import law, made_table
from tests.made_runs import MakeRun, make_crossing_seeds, run_maker
from workbench import figures
from workbench.analysis.crossover import crossovers
from workbench.analysis.trends import crossover_trends
from workbench.errors import InputError
from workbench.figures import FIGURES, Figure, save
from workbench.figures.axes import log_ticks
from workbench.figures.points import POINTS, smoothed, thinned
from workbench.figures.theme import COLOURS, place_text, short, styles_of
from workbench.importing.importer import import_runs
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.options import FitOptions
from workbench.store import ingest, query


def text_of(figure: Figure) -> str:
    return json.dumps(figure.chart.to_dict())


def inside(document: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON document."""
    if isinstance(document, dict):
        yield document
    for value in document.values() if isinstance(document, dict) else document:
        if isinstance(value, dict | list):
            yield from inside(value)


@pytest.mark.slow
def test_every_figure_is_valid_small_and_has_its_data(every: dict[str, Figure]) -> None:
    assert set(FIGURES) <= {*every, "isoflop"}
    for name, figure in every.items():
        document = figure.chart.to_dict()  # validated against Vega-Lite's schema
        assert figure.data.height > 0, name
        assert len(json.dumps(document)) < 3_000_000, name
        assert figure.title, name


@pytest.mark.slow
def test_an_objective_has_one_colour_on_every_figure(every: dict[str, Figure]) -> None:
    for name, figure in every.items():
        for encoding in inside(figure.chart.to_dict()):
            scale = (
                encoding.get("color", {}).get("scale", {})
                if isinstance(encoding.get("color"), dict)
                else {}
            )
            if not isinstance(scale.get("range"), list) or "domain" not in scale:
                continue
            for label, colour in zip(scale["domain"], scale["range"], strict=True):
                if str(label).startswith("AR"):
                    assert colour == COLOURS["ar"], name
                if str(label).startswith("masked diffusion"):
                    assert colour == COLOURS["mdlm"], name


def test_an_unknown_objective_looks_alike_beside_any_others() -> None:
    alone = styles_of(["sedd"])["sedd"]
    assert styles_of(["ar", "mdlm", "sedd"])["sedd"] == alone
    many = styles_of(["ar", "mdlm", "sedd", "uniform", "block", "any-order"])
    assert len({style.colour for style in many.values()}) == 6


def test_colour_is_repeated_by_dashes_and_the_legend_shows_them(every: dict[str, Figure]) -> None:
    for encoding in inside(every["crossover"].chart.to_dict()):
        if "strokeDash" in encoding and isinstance(encoding["strokeDash"], dict):
            assert encoding["strokeDash"]["legend"] == encoding["color"]["legend"]
            assert len({tuple(d) for d in encoding["strokeDash"]["scale"]["range"]}) == 2
            return
    pytest.fail("no dashes")


def test_what_was_not_reached_is_drawn_as_a_bound(every: dict[str, Figure]) -> None:
    assert "not_reached" in every["crossover_trend"].data["status"].to_list()
    for name in ("crossover_trend", "onset"):
        text = text_of(every[name])
        assert "triangle-up" in text
        assert "not reached by" in text
    assert "not reached by" in text_of(every["crossover"])
    for name in ("crossover", "training_flops"):
        assert "triangle-right" in text_of(every[name])


def test_the_interval_of_a_crossover_is_a_band(study: Path, every: dict[str, Figure]) -> None:
    row = crossovers(study, "made", "val_loss", "tokens")[0]
    assert row["ci95"] is not None
    bands = [
        encoding
        for encoding in inside(every["crossover"].chart.to_dict())
        if set(encoding) == {"low", "high"}
    ]
    assert {"low": row["ci95"][0], "high": row["ci95"][1]} in bands


@pytest.fixture(scope="module")
def banded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair that crosses and one that is undecided at the end, known document by document; and one
    seed of another size of data."""
    results = tmp_path_factory.mktemp("banded") / "results"
    make_run = run_maker(results)
    for unique, at, seeds in ((6_400, 150, 3), (12_800, 390, 3), (32_000, 150, 1)):
        own = [f"data.unique_tokens={unique}"]
        make_crossing_seeds(make_run, at + unique / 1e5, seeds=seeds, overrides=own)
    ingest(results)
    return results


def test_a_crossover_by_its_band_stands_above_the_lead_with_that_band(banded: Path) -> None:
    rows = crossovers(banded, "made", "val_loss", "tokens")
    figure = figures.crossover_figure(banded, "made", "val_loss", "tokens", rows)
    assert figure.chart.to_dict()["concat"][0]["vconcat"][1]["height"] < 150
    for row in rows[:2]:
        low, high = row["ci95"]
        own = figure.data.filter(
            pl.col("panel").str.starts_with(short(row["group"]["unique_tokens"]))
        )
        lead = own.filter(curve="lead")
        ours, theirs = (
            own.filter(pl.col("curve").str.starts_with(name)) for name in ("AR", "masked")
        )
        assert lead["y"].to_numpy() == pytest.approx((ours["y"] - theirs["y"]).to_numpy(), abs=1e-6)
        smooth = own.filter(curve="lead, smoothed")
        # The interval is where the band holds zero, and nothing is drawn before the second point.
        assert smooth["x"].min() == lead["x"][1]
        near = smooth.filter(pl.col("x") > low * 1.03)
        near = near if high is None else near.filter(pl.col("x") < high / 1.03)
        assert near.height > 0
        assert ((near["low"] <= 0) & (near["high"] >= 0)).all()
        assert (smooth.filter(pl.col("x") < low / 1.03)["high"] < 0).all()


def test_one_seeds_lead_is_drawn_without_a_band(banded: Path) -> None:
    rows = crossovers(banded, "made", "val_loss", "tokens")[2:]
    assert (rows[0]["seeds"], rows[0]["ci95"]) == (1, None)
    figure = figures.crossover_figure(banded, "made", "val_loss", "tokens", rows)
    smooth = figure.data.filter(curve="lead, smoothed")
    assert smooth.height > 0
    assert smooth["low"].null_count() == smooth["high"].null_count() == smooth.height
    assert '"type": "area"' not in text_of(figure)


def test_what_is_undecided_is_drawn_and_called_so(banded: Path) -> None:
    rows = crossovers(banded, "made", "val_loss", "tokens")
    assert rows[1]["status"] == "undecided"
    text = text_of(figures.crossover_figure(banded, "made", "val_loss", "tokens", rows[1:2]))
    assert "undecided by 819k tokens, behind until " in text
    assert "triangle-right" in text
    trend = figures.crossover_trend_figure(rows, crossover_trends(rows, "unique_tokens"))
    (bound,) = trend.data.filter(status="undecided")["place"]
    assert bound == rows[1]["lower_bound"]
    assert "undecided, not by" in text_of(trend)
    assert "triangle-up" in text_of(trend)


def test_what_is_undecided_without_a_bound_is_not_drawn(banded: Path) -> None:
    rows = crossovers(banded, "made", "val_loss", "tokens")
    unknown = [{**row, "status": "undecided", "crossover": None, "lower_bound": None,
                "upper_bound": None, "ci95": [None, None]} for row in rows]  # fmt: skip
    figure = figures.crossover_figure(banded, "made", "val_loss", "tokens", unknown)
    assert "triangle" not in text_of(figure)
    assert "undecided by 819k tokens" in text_of(figure)
    mixed = [unknown[0], *rows[1:]]
    trend = figures.crossover_trend_figure(mixed, crossover_trends(mixed, "unique_tokens"))
    assert sorted(trend.data["key"]) == [12_800, 32_000]
    with pytest.raises(InputError, match="no trend to draw"):
        figures.crossover_trend_figure(unknown, crossover_trends(unknown, "unique_tokens"))


def test_a_line_through_two_points_is_dotted_and_called_one(banded: Path) -> None:
    rows = crossovers(banded, "made", "val_loss", "tokens")
    three = [
        {**row, "status": "crossed", "crossover": 100_000.0 * place, "lower_bound": None}
        for place, row in enumerate(rows, 1)
    ]
    for chosen, tested in ((three, True), (three[:2], False)):
        trends = crossover_trends(chosen, "unique_tokens")
        text = text_of(figures.crossover_trend_figure(chosen, trends))
        assert ("through two points, which any line fits" in text) is not tested
        assert ('"strokeDash": [1, 4]' in text) is not tested
        assert ('"strokeDash": [5, 3]' in text) is tested


def test_contours_of_what_the_runs_leave_open_are_dotted_and_say_so() -> None:
    table = made_table("chinchilla", noise=0.01, sizes=4)
    (fit,) = fit_law(law("chinchilla"), table, FitOptions(resamples=0, starts=8))
    known = dataclasses.replace(fit, identified=dict.fromkeys(fit.identified, True))
    open_ = dataclasses.replace(fit, identified={**known.identified, "E": False})
    given_ = dataclasses.replace(open_, fixed=("E",))
    for one, marked in ((known, False), (open_, True), (given_, False)):
        text = text_of(figures.contour_figure(one))
        assert ("dotted: the runs leave E open" in text) is marked
        assert ('"strokeDash": [1, 100]' in text) is marked


def test_unfinished_runs_are_not_drawn_beside_finished_ones(
    results: Path, make_run: MakeRun
) -> None:
    make_crossing_seeds(make_run, 150, seeds=2)
    make_run("late", {20: 9.0, 40: 9.0}, state="interrupted", overrides=["training.seed=9"])
    ingest(results)
    rows = crossovers(results, "made", "val_loss", "tokens")
    figure = figures.crossover_figure(results, "made", "val_loss", "tokens", rows)
    assert figure.data["y"].to_numpy().max() < 9
    assert figure.data["x"].max() == 400 * 2048


def test_the_stricter_definition_shows_what_it_compares_with(study: Path) -> None:
    rows = crossovers(
        study, "made", "val_loss", "tokens", definition="best_so_far", intervals=False
    )
    data = figures.crossover_figure(study, "made", "val_loss", "tokens", rows).data
    best = data.filter(pl.col("best").is_not_null())
    assert best["curve"].unique().to_list() == ["AR (NLL)"]
    for _, panel in best.group_by("panel"):
        assert (np.diff(panel["best"].to_numpy()) <= 0).all()
        assert (panel["best"] <= panel["y"]).all()


def test_a_bound_and_a_likelihood_on_one_axis_have_different_names(
    every: dict[str, Figure],
) -> None:
    text = text_of(every["crossover"])
    assert "AR (NLL)" in text
    assert "NELBO, an upper bound" in text
    assert "NELBO, an upper bound" in text_of(every["paper_arrangement"])


def test_accuracies_are_no_bounds(study: Path) -> None:
    rows = crossovers(study, "made", "cloze_acc", "tokens", intervals=False)
    assert "NELBO" not in text_of(
        figures.crossover_figure(study, "made", "cloze_acc", "tokens", rows)
    )


def test_imported_curves_are_called_so(every: dict[str, Figure]) -> None:
    assert "AR, imported" in text_of(every["crossover of imported"])


def test_curves_are_the_means_over_seeds_of_the_store(study: Path) -> None:
    data = figures.curves_figure(study, "made", ["val_loss"]).data
    ours = data.filter((pl.col("objective") == "ar") & (pl.col("label").str.starts_with("6.4k")))
    stored = query(
        study,
        """SELECT tokens, avg(value) AS value, min(value) AS low, max(value) AS high FROM curves
           WHERE objective = 'ar' AND unique_tokens = 6400 AND metric = 'val_loss'
             AND run_id LIKE 'a6400%' GROUP BY tokens ORDER BY tokens""",
    )
    for name in ("value", "low", "high"):
        assert ours[name].to_numpy() == pytest.approx(stored[name].to_numpy())


def test_a_band_can_be_a_t_interval_or_nothing(study: Path) -> None:
    from scipy import stats

    wide = figures.curves_figure(study, "made", ["val_loss"], band="t95").data
    row = wide.filter(pl.col("objective") == "ar").row(0, named=True)
    half = stats.t.ppf(0.975, 1) * np.std([0.0, 0.1], ddof=1) / np.sqrt(2)
    assert row["high"] - row["value"] == pytest.approx(half)
    none = figures.curves_figure(study, "made", ["val_loss"], band="none").data
    assert none["low"].null_count() == none.height


@pytest.fixture(scope="module")
def trained_long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs whose training loss was recorded at each of 300 steps; diffusion ends ahead by a
    little, having been far behind."""
    results = tmp_path_factory.mktemp("long") / "results"
    make_run = run_maker(results)
    steps = np.arange(1, 301)
    noise = np.random.default_rng(0).normal(0, 0.05, 300)
    for name, start, end, overrides in (("a", 4.0, 3.1, []), ("d", 9.0, 3.0, [MDLM])):
        values = end + (start - end) * (1 - steps / 300) + noise * (steps < 299)
        make_run(
            name, dict(zip(steps.tolist(), values.tolist(), strict=True)), metric="train_loss",
            overrides=overrides,
        )  # fmt: skip
    ingest(results)
    return results


def test_smoothing_names_its_window_and_draws_what_was_measured_behind(trained_long: Path) -> None:
    plain = figures.curves_figure(trained_long, "made", ["train_loss"]).data
    figure = figures.curves_figure(trained_long, "made", ["train_loss"], smoothing=40_960)
    assert figure.data["raw"].to_list() == plain["value"].to_list()
    assert figure.data["value"].to_list() != plain["value"].to_list()
    assert figure.data["smoothing_window"].unique().to_list() == [40_960]
    (subtitle,) = [line for line in figure.to_dict()["title"]["subtitle"] if "smoothed" in line]
    assert "the mean over 41k tokens around each place" in subtitle
    assert "faint: as measured" in subtitle
    behind = [
        layer for layer in inside(figure.to_dict())
        if isinstance(layer.get("encoding"), dict)
        and layer["encoding"].get("y", {}).get("field") == "raw"
    ]  # fmt: skip
    assert len(behind) == 1
    assert behind[0]["mark"]["opacity"] < 0.5


def test_smoothing_does_not_reverse_who_is_ahead_at_the_end(trained_long: Path) -> None:
    for window in (4_096, 61_440, 614_400, 1e9):
        data = figures.curves_figure(trained_long, "made", ["train_loss"], smoothing=window).data
        last = data.filter(pl.col("x") == data["x"].max())
        assert last["value"].to_list() == last["raw"].to_list()
        ar, diffusion = (last.filter(objective=name)["value"][0] for name in ("ar", "mdlm"))
        assert diffusion < ar


def test_a_metric_of_few_points_is_drawn_as_measured_and_the_figure_says_so(study: Path) -> None:
    plain = figures.curves_figure(study, "made", ["val_loss"]).data
    figure = figures.curves_figure(study, "made", ["val_loss"], smoothing=204_800)
    assert figure.data["value"].to_list() == plain["value"].to_list()
    assert "val_loss: as measured, with fewer than 50 points" in text_of(figure)
    for wrong in (-1, float("nan"), "spline"):
        with pytest.raises(InputError, match="width of a window"):
            figures.curves_figure(study, "made", ["val_loss"], smoothing=wrong)  # type: ignore[arg-type]


def test_loss_and_accuracy_of_one_run_meet_in_one_figure(every: dict[str, Figure]) -> None:
    ways = every["loss_against_accuracy"].data
    assert ways.filter(pl.col("objective") == "ar").height == 3 * len(STEPS)
    for end in ("first", "last"):
        assert ways.filter(pl.col("place") == end).height == 6
    gaps = every["nll_gap"].data.filter(pl.col("what") == "gap")
    assert gaps["value"].to_numpy() == pytest.approx(0.5)


def test_metrics_measured_at_different_tokens_meet_too(study: Path) -> None:
    ways = figures.loss_against_accuracy_figure(
        study, "reference", "val_loss", "hellaswag_acc_norm"
    ).data
    assert ways.height > 200
    assert ways["accuracy"].is_between(0.29, 0.58).all()


def test_published_accuracies_lie_behind_our_own(results: Path, make_run: MakeRun) -> None:
    own = ["data.unique_tokens=1_000_000_000", "training.total_tokens=2_000_000_000"]
    metrics = ["hellaswag_acc_norm", "mmlu_acc_norm"]
    for metric in metrics:
        make_run(metric, {1000: 0.25, 30_000: 0.42}, metric=metric, overrides=own)
    ingest(results)
    import_runs("reference", None, results)
    figure = figures.paper_arrangement_figure(results, "made", metrics)
    for metric in metrics:
        published = figure.data.filter("published", metric=metric)["value"]
        assert published.is_between(0.25, 0.6).all()
    drawn = [frame for frame in figure.to_dict()["datasets"].values() if "whose" in frame[0]]
    assert len(drawn) == 4, "of each metric the curves of two objectives, near enough to be seen"


def test_published_curves_lie_behind_those_of_the_same_data_alone(
    results: Path, make_run: MakeRun
) -> None:
    for name, objective_key in (("a", []), ("d", [MDLM])):
        own = ["data.unique_tokens=1_000_000_000", "training.total_tokens=2_000_000_000"]
        make_run(name, AR, overrides=own + objective_key)
    ingest(results)
    import_runs("reference", None, results)
    data = figures.paper_arrangement_figure(results, "made", ["val_loss"]).data
    published = data.filter("published")
    assert set(published["objective"]) == {"ar", "mdlm"}
    # Of 1B unique tokens: the 500M curve rises to 9.5.
    assert max(published["value"].to_list()) < 5
    make_run("b", AR, study="other", overrides=["data.unique_tokens=12_800"])
    ingest(results)
    assert (
        not figures.paper_arrangement_figure(results, "other", ["val_loss"]).data["published"].any()
    )


def test_two_variants_of_one_objective_have_two_colours(results: Path, make_run: MakeRun) -> None:
    compare = {
        "baseline": {"training.objective": "ar", "training.weight_decay": 0.1},
        "challenger": {"training.objective": "ar", "training.weight_decay": 3.0},
        "match": ["data.unique_tokens"],
    }
    for name, decay, values in (("a", 0.1, AR), ("b", 3.0, DIFFUSION)):
        make_run(name, values, overrides=[f"training.weight_decay={decay}"], compare=compare)
    ingest(results)
    rows = crossovers(results, "made", "val_loss", "tokens", intervals=False)
    figure = figures.crossover_figure(results, "made", "val_loss", "tokens", rows)
    names = figure.data["curve"].unique(maintain_order=True).to_list()
    assert names == ["AR, weight_decay 0.1 (NLL)", "AR, weight_decay 3 (NLL)"]
    ranges = [
        encoding["range"]
        for encoding in inside(figure.chart.to_dict())
        if encoding.get("domain") == names
    ]
    assert COLOURS["ar"] == ranges[0][0] != ranges[0][1]


def test_a_long_run_is_thinned_and_keeps_its_spikes(results: Path, make_run: MakeRun) -> None:
    values = {step: 3.0 + step % 7 / 100 for step in range(1, 30_001)}
    make_run("a", values | {17_777: 9.0}, metric="train_loss")
    ingest(results)
    figure = figures.curves_figure(results, "made", ["train_loss"])
    assert 5_000 < figure.data.height <= POINTS  # beyond altair's own limit
    assert figure.data["value"].max() == 9.0
    assert figure.chart.to_dict()


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf", "html", "json"])
def test_figures_are_saved_in_every_format(
    every: dict[str, Figure], tmp_path: Path, suffix: str
) -> None:
    figure = every["put_together"]
    path = tmp_path / "out" / f"figure.{suffix}"
    save(figure, path, save_data=True)
    starts = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!doctype", "json": b"{"}
    assert path.read_bytes().lstrip().startswith(starts[suffix])
    if suffix == "svg":
        assert ET.parse(path).getroot().tag.endswith("svg")
    if suffix == "html":
        assert "cdn.jsdelivr" not in path.read_text()
    assert pl.read_csv(path.with_suffix(".csv")).height == figure.data.height


def test_a_table_of_the_figure_s_name_is_left_alone(
    every: dict[str, Figure], tmp_path: Path
) -> None:
    (tmp_path / "runs.csv").write_text("mine\n")
    save(every["generation_flops"], tmp_path / "runs.svg")
    assert (tmp_path / "runs.csv").read_text() == "mine\n"


def test_an_unknown_format_is_refused(every: dict[str, Figure], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.gif"):
        save(every["generation_flops"], tmp_path / "a.gif")


def test_a_facet_that_no_run_has_is_named(study: Path) -> None:
    with pytest.raises(InputError, match=r"model\.dropuot"):
        figures.curves_figure(study, "made", ["val_loss"], facet="model.dropuot")


def test_contours_lie_where_the_law_has_their_loss(every: dict[str, Figure]) -> None:
    from workbench.laws.law import Rows

    options = FitOptions(resamples=0, starts=8)
    (fit,) = fit_law(law("chinchilla"), made_table("chinchilla", noise=0.01, sizes=4), options)
    lines = every["contours"].data
    rows = Rows.of(*(lines[name].to_numpy() for name in ("n_params", *["total_tokens"] * 2)))
    assert law("chinchilla").predict(fit.params, rows) == pytest.approx(
        lines["loss"].to_numpy(), rel=2e-3
    )


def test_generation_costs_what_the_paper_says(every: dict[str, Figure]) -> None:
    rows = every["generation_flops"].data.filter(pl.col("panel") == "length")
    ratio = dict(zip(rows["x"].to_list(), rows["ratio"].to_list(), strict=True))
    assert ratio[16] == pytest.approx(16, rel=0.05)
    assert ratio[4096] == pytest.approx(4700, rel=0.05)


@given(
    st.lists(st.tuples(st.floats(0.01, 10), st.floats(-100, 100)), min_size=1, max_size=50),
    st.floats(0, 300),
)
def test_smoothing_stays_within_the_values_and_leaves_both_ends_and_straight_lines(
    points: list[tuple[float, float]], window: float
) -> None:
    x = np.cumsum([step for step, _ in points])
    values = np.array([value for _, value in points])
    out = smoothed(x, values, window)
    assert out[0] == values[0]
    assert out[-1] == values[-1]
    assert out.min() >= values.min() - 1e-6
    assert out.max() <= values.max() + 1e-6
    # Uneven places move nothing along the axis.
    assert smoothed(x, 3 * x - 5, window) == pytest.approx(3 * x - 5, abs=1e-6)


def test_smoothing_is_the_mean_over_its_window() -> None:
    x = np.arange(101.0)
    values = np.random.default_rng(0).normal(size=101)
    fine = np.linspace(30 - 8, 30 + 8, 100_001)
    mean = np.interp(fine, x, values).mean()
    assert smoothed(x, values, 16.0)[30] == pytest.approx(mean, abs=1e-4)
    both = smoothed(x, np.stack([values, -values]), 16.0)
    assert both[0] == pytest.approx(-both[1])


@given(st.integers(1, 5000), st.integers(20, 400), st.integers(0, 2**32 - 1))
def test_thinning_keeps_the_ends_and_the_extremes(n: int, limit: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.cumsum(rng.uniform(0.1, 1, n)), rng.normal(size=n)
    keep = thinned(x, y, limit)
    assert len(keep) <= max(limit + 4, n if n <= limit else 0)
    assert {0, n - 1} <= set(keep.tolist())
    assert y[keep].min() == y.min()
    assert y[keep].max() == y.max()


@given(st.floats(1e-3, 1e20), st.floats(1.02, 1e9))
def test_ticks_are_few_round_and_inside(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert 1 <= len(ticks) <= 6
    assert all(low * 0.998 <= tick <= low * ratio * 1.002 for tick in ticks)
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize(
    ("value", "text"),
    [(12_800, "12.8k"), (1e9, "1B"), (1.5e9, "1.5B"), (7, "7"), (3e12, "3T"), (3e20, "3e20")],
)
def test_large_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_places_have_their_axis_unit() -> None:
    assert place_text(4.34e10, "tokens") == "43.4B tokens"
    assert place_text(3.094e20, "flops") == "3.09e20 FLOPs"
    assert place_text(12.0, "flops_per_unique") == "12 FLOPs per unique token"
