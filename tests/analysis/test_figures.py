"""Figures: valid, true to the store, in colours that mean the same everywhere, bounds marked."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.fitting.conftest import law, made_table
from tests.store.conftest import MakeRun
from workbench.analysis import figures
from workbench.analysis.cost import flops_to_best
from workbench.analysis.crossover import crossovers
from workbench.analysis.effective_data import effective_data
from workbench.analysis.figures import Figure, save
from workbench.analysis.figures.curves import smoothed
from workbench.analysis.figures.theme import COLOURS, log_ticks, short, thinned
from workbench.analysis.fitting.fit import fit_law
from workbench.analysis.fitting.options import FitOptions
from workbench.analysis.overfitting import overfitting_onset
from workbench.analysis.trends import crossover_trends
from workbench.errors import InputError
from workbench.flops import named_shape
from workbench.store import ingest, query

STEPS = range(1, 400, 20)
AR = {s: 2.0 + abs(s - 100) / 100 for s in STEPS}
DIFFUSION = {s: 5.0 - s / 120 for s in STEPS}
NEVER = {s: 6.0 - s / 900 for s in STEPS}


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    for unique, other in ((6_400, DIFFUSION), (12_800, DIFFUSION), (32_000, NEVER)):
        u = f"data.unique_tokens={unique}"
        for seed in (0, 1):
            s = f"training.seed={seed}"
            shifted = {step: value + seed / 10 for step, value in AR.items()}
            make_run(f"a{unique}{seed}", shifted, overrides=[u, s])
            make_run(f"d{unique}{seed}", other, overrides=[u, s, "training.objective='mdlm'"])
    for run_id, values in (("acc-a", AR), ("acc-d", DIFFUSION)):
        objective = "mdlm" if run_id.endswith("d") else "ar"
        for metric in ("cloze_acc", "val_loss"):
            scaled = {k: v / (10 if metric == "cloze_acc" else 1) for k, v in values.items()}
            run = make_run(
                run_id + metric[:1], scaled, study="two", metric=metric,
                overrides=[f"training.objective='{objective}'"],
            )  # fmt: skip
            assert run.path.exists()
    ingest(results)
    return results


def every_figure(results: Path) -> dict[str, Figure]:
    found = crossovers(results, "made", "val_loss", "tokens")
    (fit,) = fit_law(
        law("chinchilla"), made_table("chinchilla", noise=0.01, sizes=4),
        FitOptions(resamples=0, starts=8),
    )  # fmt: skip
    return {
        "crossover": figures.crossover_figure(results, "made", "val_loss", "tokens", found),
        "trend": figures.crossover_trend_figure(found, crossover_trends(found, "unique_tokens")),
        "effective": figures.effective_data_figure(effective_data(results, "made", "val_loss")),
        "curves": figures.curves_figure(results, "made", ["val_loss"], "epochs", smoothing=0.5),
        "facets": figures.curves_figure(results, "made", ["val_loss"], facet="data.unique_tokens"),
        "together": figures.put_together_figure(results, "made", "val_loss"),
        "paper": figures.paper_arrangement_figure(results, "made", ["val_loss"]),
        "onset": figures.onset_figure(overfitting_onset(results, "made")),
        "training": figures.training_flops_figure(flops_to_best(results, "made", "val_loss")),
        "generation": figures.generation_flops_figure(named_shape("1B", 50_258)),
        "predicted": figures.predicted_figure([fit]),
        "residuals": figures.residuals_figure([fit]),
        "contours": figures.contour_figure(fit),
        "profiles": figures.profile_figure(fit),
    }


def test_every_figure_is_valid_small_and_has_its_data(study: Path) -> None:
    for name, figure in every_figure(study).items():
        document = figure.chart.to_dict()  # validated against Vega-Lite's schema
        assert figure.data.height > 0, name
        assert len(json.dumps(document)) < 3_000_000, name
        assert figure.title, name


def test_an_objective_has_one_colour_on_every_figure(study: Path) -> None:
    for name, figure in every_figure(study).items():
        for scale in _colour_scales(figure.chart.to_dict()):
            for label, colour in zip(scale["domain"], scale["range"], strict=False):
                if str(label).startswith("AR"):
                    assert colour == COLOURS["ar"], name
                if str(label).startswith("masked diffusion"):
                    assert colour == COLOURS["mdlm"], name


def _colour_scales(document: Any) -> list[dict]:
    found = []
    if isinstance(document, dict):
        colour = document.get("color")
        if isinstance(colour, dict) and isinstance(colour.get("scale"), dict):
            scale = colour["scale"]
            if isinstance(scale.get("range"), list) and isinstance(scale.get("domain"), list):
                found.append(scale)
        for value in document.values():
            found += _colour_scales(value)
    if isinstance(document, list):
        for value in document:
            found += _colour_scales(value)
    return found


def test_colour_is_repeated_by_dashes_or_shapes(study: Path) -> None:
    document = json.dumps(every_figure(study)["crossover"].chart.to_dict())
    assert "strokeDash" in document


def test_what_was_not_reached_is_drawn_as_a_bound(study: Path) -> None:
    made = every_figure(study)
    assert "not_reached" in made["trend"].data["status"].to_list()
    assert "triangle-up" in json.dumps(made["trend"].chart.to_dict())
    assert "not reached by" in json.dumps(made["crossover"].chart.to_dict())
    assert "triangle-right" in json.dumps(made["training"].chart.to_dict())


def test_a_bound_and_a_likelihood_on_one_axis_are_told_apart(study: Path) -> None:
    document = json.dumps(every_figure(study)["crossover"].chart.to_dict())
    assert "AR (NLL)" in document
    assert "NELBO, an upper bound" in document


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


def test_smoothed_figures_keep_what_was_measured(study: Path) -> None:
    plain = figures.curves_figure(study, "made", ["val_loss"]).data
    smooth = figures.curves_figure(study, "made", ["val_loss"], smoothing=0.8).data
    assert smooth["raw"].to_list() == plain["value"].to_list()
    assert smooth["value"].to_list() != plain["value"].to_list()


def test_loss_and_accuracy_of_one_run_meet_in_one_figure(results: Path, make_run: MakeRun) -> None:
    from workbench.records import RecordWriter

    for objective in ("ar", "mdlm"):
        run = make_run(objective, AR, overrides=[f"training.objective='{objective}'"])
        writer = RecordWriter(run.records_path)
        for step in STEPS:
            for metric, value in (
                ("cloze_acc", 0.3 + step / 2000), ("cloze_nll_true", 2.0), ("cloze_nll_other", 2.5),
            ):  # fmt: skip
                writer.write(
                    step=step, tokens=step * 2048, epoch=step / 6, flops=step * 1e9,
                    metric=metric, value=value, estimator="nll",
                )  # fmt: skip
        writer.close()
    ingest(results)
    ways = figures.loss_against_accuracy_figure(results, "made")
    assert ways.data.filter(pl.col("objective") == "ar").height == len(STEPS)
    assert ways.data.filter("end").height == 2
    gaps = figures.nll_gap_figure(results, "made").data.filter(pl.col("what") == "gap")
    assert gaps["value"].to_numpy() == pytest.approx(0.5)
    assert ways.chart.to_dict()


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf", "html", "json"])
def test_figures_are_saved_in_every_format_with_their_data(
    study: Path, tmp_path: Path, suffix: str
) -> None:
    figure = figures.put_together_figure(study, "made", "val_loss")
    path = tmp_path / "out" / f"figure.{suffix}"
    save(figure, path)
    starts = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!DOCTYPE", "json": b"{"}
    assert path.read_bytes().lstrip().startswith(starts[suffix])
    if suffix == "svg":
        assert ET.parse(path).getroot().tag.endswith("svg")
    if suffix == "html":
        assert "cdn.jsdelivr" not in path.read_text()
    assert pl.read_csv(path.with_suffix(".csv")).height == figure.data.height


def test_an_unknown_format_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.gif"):
        save(figures.generation_flops_figure(named_shape("1B", 50_258)), tmp_path / "a.gif")


def test_a_facet_that_no_run_has_is_named(study: Path) -> None:
    with pytest.raises(InputError, match=r"model\.dropuot"):
        figures.curves_figure(study, "made", ["val_loss"], facet="model.dropuot")


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=50), st.floats(0, 0.99))
def test_smoothing_stays_within_the_values(values: list[float], weight: float) -> None:
    out = smoothed(np.array(values), weight)
    assert out.min() >= min(values) - 1e-6
    assert out.max() <= max(values) + 1e-6
    assert out[0] == pytest.approx(values[0])


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
    ("value", "told"), [(12_800, "12.8k"), (1e9, "1B"), (1.5e9, "1.5B"), (7, "7"), (3e12, "3T")]
)
def test_large_numbers_are_short(value: float, told: str) -> None:
    assert short(value) == told
