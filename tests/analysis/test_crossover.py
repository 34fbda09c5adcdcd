"""Crossovers: persistent, interpolated, never invented."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.conftest import MakeRun
from workbench.analysis.crossover import Crossing, compare_curves, crossovers, table_row
from workbench.analysis.figures import crossover_figure, save
from workbench.errors import InputError
from workbench.store import ingest, keep_crossovers, query

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "superdata_fig1.csv"


def compare(base: list[float], other: list[float], *, higher: bool = False) -> Crossing:
    x = np.arange(1.0, len(base) + 1)
    found = compare_curves(x, np.array(base), x, np.array(other), higher_is_better=higher)
    assert found is not None
    return found


def test_a_crossing_lies_where_the_lines_cross() -> None:
    found = compare([1, 2, 4], [3, 3, 3])
    assert found == Crossing("crossed", 2.5, 3.0, [2.5])


def test_the_crossover_is_the_last_turn_that_holds() -> None:
    found = compare([3, 1, 3, 1, 3, 3], [2, 2, 2, 2, 2, 2])
    assert found.all_crossings == [1.5, 2.5, 3.5, 4.5]
    assert found.crossover == 4.5


def test_a_lead_that_is_lost_again_is_no_crossover() -> None:
    found = compare([1, 3, 1], [2, 2, 2])
    assert (found.status, found.crossover, found.last_x) == ("not_reached", None, 3.0)
    assert len(found.all_crossings) == 2


def test_ahead_from_the_first_point_is_no_crossing() -> None:
    assert compare([3, 3], [2, 2]) == Crossing("ahead_throughout", None, 2.0, [])


def test_a_tie_is_not_ahead() -> None:
    assert compare([2, 2], [2, 2]).status == "not_reached"
    assert compare([1, 2], [2, 2]).status == "not_reached"


def test_accuracy_is_better_when_higher() -> None:
    assert compare([0.5, 0.5], [0.4, 0.6], higher=True).crossover == 1.5
    assert compare([0.5, 0.5], [0.4, 0.6], higher=False).status == "not_reached"


def test_only_the_range_that_both_cover_is_compared() -> None:
    found = compare_curves(
        np.array([1.0, 3.0]), np.array([0.0, 2.0]), np.array([2.0, 9.0]), np.array([1.5, 1.5]),
        higher_is_better=False,
    )  # fmt: skip
    assert found == Crossing("crossed", 2.5, 3.0, [2.5])
    apart = compare_curves(
        np.array([1.0]), np.array([0.0]), np.array([2.0]), np.array([0.0]), higher_is_better=False
    )
    assert apart is None


curve = st.lists(st.floats(0, 10, width=32), min_size=2, max_size=12)


@given(curve, curve)
def test_a_crossover_has_the_challenger_ahead_from_there_on(a: list[float], b: list[float]) -> None:
    n = min(len(a), len(b))
    found = compare(a[:n], b[:n])
    ahead = np.array(b[:n]) < np.array(a[:n])
    x = np.arange(1.0, n + 1)
    if found.status == "crossed":
        assert found.crossover is not None
        assert ahead[x > found.crossover].all()
        assert not ahead.all()
    assert (found.status == "ahead_throughout") == ahead.all()
    assert (found.status == "not_reached") == (not ahead[-1])


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published curves are not here")
@pytest.mark.parametrize(
    ("setting", "metric", "epochs"),
    [
        ("1B_0.5B", "hellaswag_acc_norm", 34.4),
        ("1B_0.5B", "mmlu_acc_norm", 25.0),
        ("1B_0.5B", "val_loss", 4.7),
        ("1B_1B", "hellaswag_acc_norm", 43.4),
        ("1B_1B", "mmlu_acc_norm", 36.4),
        ("1B_1B", "val_loss", 14.0),
        ("1B_10B", "hellaswag_acc_norm", None),
        ("1B_10B", "mmlu_acc_norm", None),
        ("1B_10B", "val_loss", None),
    ],
)
def test_the_papers_curves_cross_where_they_do(
    setting: str, metric: str, epochs: float | None
) -> None:
    points = defaultdict(list)
    with open(PUBLISHED) as file:
        for row in csv.DictReader(file):
            if (row["setting"], row["metric"]) == (setting, metric):
                points[row["objective"]].append((float(row["epoch"]), float(row["value"])))
    assert len(points) == 2, points.keys()
    (baseline,) = (np.array(v).T for k, v in points.items() if k == "ar")
    (challenger,) = (np.array(v).T for k, v in points.items() if k != "ar")
    found = compare_curves(*baseline, *challenger, higher_is_better="acc" in metric)
    assert found is not None
    if epochs is None:
        assert found.crossover is None
    else:
        assert found.crossover == pytest.approx(epochs, abs=max(0.5, 0.02 * epochs))


AR = {1: 5.0, 100: 2.0, 200: 3.0, 300: 4.0}
DIFFUSION = {1: 5.1, 100: 3.0, 200: 2.5, 300: 2.0}


def test_runs_are_paired_by_all_but_the_objective(results: Path, make_run: MakeRun) -> None:
    for unique in (12_800, 32_000):
        u = f"data.unique_tokens={unique}"
        make_run(f"ar{unique}", AR, overrides=[u])
        make_run(f"mdlm{unique}", DIFFUSION, overrides=[u, "training.objective='mdlm'"])
    make_run("alone", AR, overrides=["training.lr=1e-3"])
    ingest(results)
    found = crossovers(results, "made", "val_loss", "tokens")
    assert [row["group"] for row in found] == [
        {"unique_tokens": 12_800, "n_params": 181_440},
        {"unique_tokens": 32_000, "n_params": 181_440},
    ]
    for row in found:
        assert row["status"] == "crossed"
        assert row["crossover"] == pytest.approx((100 + 100 * 1 / 1.5) * 2048)
        assert row["ci95"] is None
        assert (row["baseline"], row["challenger"]) == ("ar", "mdlm")
    in_epochs = crossovers(results, "made", "val_loss", "epochs")[0]["crossover"]
    assert in_epochs == pytest.approx(found[0]["crossover"] / 12_800)
    in_flops = crossovers(results, "made", "val_loss", "flops")[0]
    assert in_flops["status"] == "crossed"
    assert in_flops["last_x"] == pytest.approx(300e9)


def test_seeds_are_averaged_and_give_an_interval(results: Path, make_run: MakeRun) -> None:
    for seed, shift in enumerate((0.0, 0.1, -0.1)):
        s = f"training.seed={seed}"
        make_run(f"ar{seed}", {k: v + shift for k, v in AR.items()}, overrides=[s])
        make_run(f"m{seed}", DIFFUSION, overrides=[s, "training.objective='mdlm'"])
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert row["crossover"] == pytest.approx((100 + 100 * 1 / 1.5) * 2048)
    low, high = row["ci95"]
    assert low < row["crossover"] < high


def test_other_pairings_than_objectives_can_be_stated(results: Path, make_run: MakeRun) -> None:
    compare = {
        "baseline": {"training.weight_decay": 0.1},
        "challenger": {"training.weight_decay": 3.0},
        "match": None,
    }
    make_run("a", AR, compare=compare)
    make_run("b", DIFFUSION, overrides=["training.weight_decay=3.0"], compare=compare)
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert row["status"] == "crossed"


def test_a_bound_is_shown_as_a_bound(results: Path, make_run: MakeRun) -> None:
    make_run("a", DIFFUSION)
    make_run("b", AR, overrides=["training.objective='mdlm'"])
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert (row["status"], row["crossover"]) == ("not_reached", None)
    assert table_row(row)["crossover (tokens)"].startswith(">")


def test_answers_are_kept_for_sql_and_replaced_by_newer_ones(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", AR)
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'"])
    ingest(results)
    for _ in range(2):
        keep_crossovers(results, crossovers(results, "made", "val_loss", "tokens"))
    keep_crossovers(results, crossovers(results, "made", "val_loss", "epochs"))
    kept = query(results, "SELECT axis, status, crossover FROM crossovers ORDER BY axis").rows()
    assert [row[:2] for row in kept] == [("epochs", "crossed"), ("tokens", "crossed")]
    assert kept[1][2] == pytest.approx((100 + 100 * 1 / 1.5) * 2048)


def test_unknown_names_are_refused_with_what_there_is(results: Path, make_run: MakeRun) -> None:
    make_run("a", AR)
    ingest(results)
    with pytest.raises(InputError, match="'made'"):
        crossovers(results, "mode", "val_loss", "tokens")
    with pytest.raises(InputError, match="'val_loss'"):
        crossovers(results, "made", "val_los", "tokens")
    with pytest.raises(InputError, match="share all other"):
        crossovers(results, "made", "val_loss", "tokens")


def test_the_figure_is_drawn_with_its_crossing(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("a", AR)
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'"])
    ingest(results)
    found = crossovers(results, "made", "val_loss", "tokens")
    figure = crossover_figure(results, "made", "val_loss", "tokens", found)
    for suffix in (".svg", ".png", ".pdf"):
        save(figure, tmp_path / f"figure{suffix}")
    svg = (tmp_path / "figure.svg").read_text()
    for text in ("0.341M tokens", "masked diffusion", "val_loss (nats a token)", "training tokens"):
        assert text in svg
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"\.svg"):
        save(figure, tmp_path / "figure.bmp")
