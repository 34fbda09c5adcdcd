"""Crossovers of studies: what is paired, averaged, bounded and reported."""

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from tests.made_runs import STEPS, MakeRun, make_crossing_seeds
from workbench.analysis.crossover import (
    compare_curves,
    crossovers,
    table_row,
)
from workbench.analysis.curves import load_curves
from workbench.analysis.texts import ONE_TEXT
from workbench.errors import InputError
from workbench.figures import crossover_figure, save
from workbench.figures.theme import place_text as figure_text
from workbench.store import database_path, ingest, keep_crossovers, query

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "superdata_fig1.csv"


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
    crossing = compare_curves(*baseline, *challenger, higher_is_better="acc" in metric)
    assert crossing is not None
    if epochs is None:
        assert crossing.crossover is None
    else:
        assert crossing.crossover == pytest.approx(epochs, abs=max(0.5, 0.02 * epochs))


AR = {1: 5.0, 100: 2.0, 200: 3.0, 300: 4.0}
DIFFUSION = {1: 5.1, 100: 3.0, 200: 2.5, 300: 2.0}


def test_runs_are_paired_by_all_but_the_objective(results: Path, make_run: MakeRun) -> None:
    for unique in (12_800, 32_000):
        u = f"data.unique_tokens={unique}"
        make_run(f"ar{unique}", AR, overrides=[u])
        make_run(f"mdlm{unique}", DIFFUSION, overrides=[u, "training.objective='mdlm'"])
    make_run("alone", AR, overrides=["training.lr=1e-3"])
    ingest(results)
    rows = crossovers(results, "made", "val_loss", "tokens")
    assert [row["group"] for row in rows] == [
        {"unique_tokens": 12_800, "n_params": 181_440},
        {"unique_tokens": 32_000, "n_params": 181_440},
    ]
    for row in rows:
        assert row["status"] == "crossed"
        assert row["crossover"] == pytest.approx((100 + 100 * 1 / 1.5) * 2048)
        assert row["ci95"] is None
        assert (row["baseline"], row["challenger"]) == ("ar", "mdlm")
    in_epochs = crossovers(results, "made", "val_loss", "epochs")[0]["crossover"]
    assert in_epochs == pytest.approx(rows[0]["crossover"] / 12_800)
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
    assert row["ci95_method"] == "t interval over 3 seeds"
    low, high = row["ci95"]
    assert 0 < low < row["crossover"] < high


def test_seeds_that_did_not_all_cross_give_no_interval(results: Path, make_run: MakeRun) -> None:
    for seed, shift in enumerate((0.0, 0.0, 3.0)):
        s = f"training.seed={seed}"
        make_run(f"ar{seed}", AR, overrides=[s])
        worse = {step: value + shift for step, value in DIFFUSION.items()}
        make_run(f"m{seed}", worse, overrides=[s, "training.objective='mdlm'"])
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert (row["status"], row["ci95"], row["ci95_method"]) == ("crossed", None, None)
    assert row["ci95_note"] == "2 of 3 seeds crossed"
    assert row["share_crossed"] == pytest.approx(2 / 3)


def test_one_seed_gets_an_interval_from_its_own_noise(results: Path, make_run: MakeRun) -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(10, 410, 10)
    ar = 2 + steps / 400 + rng.normal(0, 0.02, 40)
    diffusion = 3.5 - steps / 200 + rng.normal(0, 0.02, 40)
    make_run("a", dict(zip(steps.tolist(), ar.tolist(), strict=True)))
    make_run(
        "b",
        dict(zip(steps.tolist(), diffusion.tolist(), strict=True)),
        overrides=["training.objective='mdlm'"],
    )
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert row["ci95_method"] == "block bootstrap of residuals, 1000 resamples"
    low, high = row["ci95"]
    assert low <= 200 * 2048 <= high
    assert low <= row["crossover"] <= high
    assert high < 230 * 2048
    assert crossovers(results, "made", "val_loss", "tokens")[0]["ci95"] == row["ci95"]
    (without,) = crossovers(results, "made", "val_loss", "tokens", intervals=False)
    assert (without["ci95"], without["crossover"]) == (None, row["crossover"])


def test_why_an_interval_is_not_of_a_band_is_said_unless_it_was_asked_for(
    results: Path, make_run: MakeRun
) -> None:
    for seed in range(2):
        s = f"training.seed={seed}"
        make_run(f"ar{seed}", AR, overrides=[s])
        make_run(f"m{seed}", DIFFUSION, overrides=[s, "training.objective='mdlm'"])
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert row["definition"] == "point"
    assert "no values of single documents" in row["ci95_note"]
    (row,) = crossovers(results, "made", "val_loss", "tokens", definition="point")
    assert row["ci95_note"] == ONE_TEXT


def test_few_points_get_no_interval_and_a_reason(results: Path, make_run: MakeRun) -> None:
    make_run("a", AR)
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'"])
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert (row["ci95"], row["ci95_note"]) == (None, "fewer than 8 points")
    assert row["runs"] == {"baseline": ["a"], "challenger": ["b"]}
    assert (row["definition"], row["imported"]) == ("point", False)
    assert (row["lower_bound"], row["upper_bound"]) == (None, None)


def test_bounds_are_given_where_there_is_no_crossover(results: Path, make_run: MakeRun) -> None:
    make_run("a", {10: 3.0, 20: 3.0}, study="ahead")
    make_run("b", {10: 2.0, 20: 2.0}, study="ahead", overrides=["training.objective='mdlm'"])
    make_run("c", {10: 2.0, 20: 2.0}, study="behind", overrides=["training.lr=1e-4"])
    make_run(
        "d",
        {10: 3.0, 20: 3.0},
        study="behind",
        overrides=["training.lr=1e-4", "training.objective='mdlm'"],
    )
    ingest(results)
    (ahead,) = crossovers(results, "ahead", "val_loss", "tokens")
    (behind,) = crossovers(results, "behind", "val_loss", "tokens")
    assert (ahead["lower_bound"], ahead["upper_bound"]) == (None, 10 * 2048)
    assert (behind["lower_bound"], behind["upper_bound"]) == (20 * 2048, None)
    assert table_row(ahead)["crossover (tokens)"].startswith("<")


def test_the_best_so_far_is_a_definition_of_its_own(results: Path, make_run: MakeRun) -> None:
    make_run("a", AR)
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'"])
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens", definition="best_so_far")
    assert (row["definition"], row["status"]) == ("best_so_far", "not_reached")
    with pytest.raises(InputError, match="best_so_far"):
        crossovers(results, "made", "val_loss", "tokens", definition="best")  # type: ignore[arg-type]


def test_flops_per_unique_token_are_an_axis(results: Path, make_run: MakeRun) -> None:
    make_run("a", AR)
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'"])
    ingest(results)
    (per_token,) = crossovers(results, "made", "val_loss", "flops_per_unique")
    (in_flops,) = crossovers(results, "made", "val_loss", "flops")
    unique = per_token["group"]["unique_tokens"]
    assert per_token["crossover"] == pytest.approx(in_flops["crossover"] / unique)
    figure = crossover_figure(results, "made", "val_loss", "flops_per_unique", [per_token])
    assert "FLOPs per unique token" in figure.to_json()


def test_runs_without_flops_are_named_where_flops_are_asked_for(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", AR)
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'"])
    path = results / "runs" / "b" / "records.jsonl"
    lines = [{**json.loads(line), "flops": None} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ingest(results)
    for axis in ("flops", "flops_per_unique"):
        with pytest.raises(InputError, match=r"runs b\. .*--estimate-flops"):
            crossovers(results, "made", "val_loss", axis)
    assert crossovers(results, "made", "val_loss", "tokens")[0]["status"] == "crossed"
    with pytest.raises(InputError, match="'tokens'"):
        crossovers(results, "made", "val_loss", "token")


def test_imported_runs_without_steps_are_ordered_by_tokens(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", dict(reversed(AR.items())))
    make_run("b", dict(reversed(DIFFUSION.items())), overrides=["training.objective='mdlm'"])
    ingest(results)
    with duckdb.connect(str(database_path(results))) as connection:
        connection.execute("UPDATE metrics SET step = NULL")
        connection.execute("UPDATE runs SET imported = true, protocol = NULL WHERE run_id = 'b'")
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert row["crossover"] == pytest.approx((100 + 100 * 1 / 1.5) * 2048)
    assert row["imported"] is True
    loaded = load_curves(results, "made", "val_loss")
    assert {curve.run_id: curve.imported for curve in loaded.curves} == {"a": False, "b": True}


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


def test_values_of_documents_give_a_band_whose_interval_holds_the_crossover(
    results: Path, make_run: MakeRun
) -> None:
    make_crossing_seeds(make_run, 150, seeds=5)
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert (row["definition"], row["over"], row["status"]) == (
        "band", "seeds+documents", "crossed",
    )  # fmt: skip
    low, high = row["ci95"]
    assert low < row["crossover"] < high
    assert low < 150 * 2048 < high
    assert "5 seeds and 24 documents (crossed)" in row["ci95_method"]
    (narrow,) = crossovers(results, "made", "val_loss", "tokens", over="seeds")
    assert narrow["over"] == "seeds"
    assert "over 5 seeds, " in narrow["ci95_method"]
    (by_point,) = crossovers(results, "made", "val_loss", "tokens", definition="point")
    assert by_point["definition"] == "point"
    assert by_point["ci95_method"] == "t interval over 5 seeds"


def test_what_the_last_point_does_not_tell_is_undecided(results: Path, make_run: MakeRun) -> None:
    make_crossing_seeds(make_run, 390, seeds=3)
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "epochs")
    assert (row["status"], row["crossover"], row["upper_bound"]) == ("undecided", None, None)
    assert 0 < row["lower_bound"] < row["last_x"]
    assert row["ci95"] == [row["lower_bound"], None]
    shown = table_row(row)
    assert float(shown["crossover (epochs)"].removeprefix("> ")) == pytest.approx(
        row["lower_bound"], rel=5e-3
    )
    assert shown["95 % interval"].endswith("to beyond the measured range")
    (by_point,) = crossovers(results, "made", "val_loss", "epochs", definition="point")
    assert by_point["status"] == "crossed", "point by point, one noisy point decides"


def test_unfinished_runs_are_named_and_left_out_beside_finished_ones(
    results: Path, make_run: MakeRun
) -> None:
    make_crossing_seeds(make_run, 150, seeds=3)
    ingest(results)
    (before,) = crossovers(results, "made", "val_loss", "tokens")
    for name, key in (("a9", "'ar'"), ("d9", "'mdlm'")):
        seed = ["data.seed=9", "training.seed=9", f"training.objective={key}"]
        make_run(name, {20: 9.0, 40: 9.0}, state="interrupted", overrides=seed, items=[0.0] * 24)
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert sorted(row.pop("unfinished")) == ["a9", "d9"]
    assert before.pop("unfinished") == []
    assert row == before


def test_runs_on_other_documents_are_compared_point_by_point(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", dict.fromkeys(STEPS, 3.0), items=[0.0] * 10)
    falling = {step: 4.0 - step / 200 for step in STEPS}
    make_run("d", falling, overrides=["training.objective='mdlm'"], items=[0.0] * 11)
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert (row["definition"], row["status"]) == ("point", "crossed")


def test_definitions_stand_side_by_side_in_the_store(results: Path, make_run: MakeRun) -> None:
    make_crossing_seeds(make_run, 150)
    ingest(results)
    for definition in ("band", "point", "band"):
        rows = crossovers(results, "made", "val_loss", "tokens", definition=definition)
        keep_crossovers(results, rows)
    stored = query(results, "SELECT definition, crossover FROM crossovers ORDER BY 1")
    assert stored["definition"].to_list() == ["band", "point"]
    assert stored["crossover"].n_unique() == 2


def test_answers_of_earlier_stores_have_their_definition(results: Path, make_run: MakeRun) -> None:
    make_run("a", AR)
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'"])
    ingest(results)
    for definition in ("point", "best_so_far"):
        rows = crossovers(results, "made", "val_loss", "tokens", definition=definition)
        keep_crossovers(results, rows)
    with duckdb.connect(str(database_path(results))) as connection:
        connection.execute("ALTER TABLE crossovers DROP COLUMN definition")
        connection.execute("COMMENT ON VIEW curves IS 'of an earlier version'")
        connection.execute("UPDATE crossovers SET result = '{}' WHERE status = 'crossed'")
    stored = query(results, "SELECT status, definition FROM crossovers ORDER BY 1").rows()
    assert stored == [("crossed", "point"), ("not_reached", "best_so_far")]
    keep_crossovers(results, crossovers(results, "made", "val_loss", "tokens"))
    assert query(results, "SELECT count(*) FROM crossovers").item() == 2


def test_answers_are_stored_for_sql_and_replaced_by_newer_ones(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", AR)
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'"])
    ingest(results)
    for _ in range(2):
        keep_crossovers(results, crossovers(results, "made", "val_loss", "tokens"))
    keep_crossovers(results, crossovers(results, "made", "val_loss", "epochs"))
    stored = query(results, "SELECT axis, status, crossover FROM crossovers ORDER BY axis").rows()
    assert [row[:2] for row in stored] == [("epochs", "crossed"), ("tokens", "crossed")]
    assert stored[1][2] == pytest.approx((100 + 100 * 1 / 1.5) * 2048)


def test_unknown_names_are_refused_with_what_there_is(results: Path, make_run: MakeRun) -> None:
    make_run("a", AR)
    ingest(results)
    with pytest.raises(InputError, match="'made'"):
        crossovers(results, "mode", "val_loss", "tokens")
    with pytest.raises(InputError, match="'val_loss'"):
        crossovers(results, "made", "val_los", "tokens")
    with pytest.raises(InputError, match=r'no run .* has training.objective = "mdlm".*: "ar"'):
        crossovers(results, "made", "val_loss", "tokens")
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'", "training.lr=0.1"])
    ingest(results)
    with pytest.raises(InputError, match="share all other"):
        crossovers(results, "made", "val_loss", "tokens")


def test_the_figure_is_drawn_with_its_crossing(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("a", AR)
    make_run("b", DIFFUSION, overrides=["training.objective='mdlm'"])
    ingest(results)
    rows = crossovers(results, "made", "val_loss", "tokens")
    figure = crossover_figure(results, "made", "val_loss", "tokens", rows)
    for suffix in (".svg", ".png", ".pdf"):
        save(figure, tmp_path / f"figure{suffix}")
    svg = (tmp_path / "figure.svg").read_text()
    for text in ("341k tokens", "masked diffusion", "val_loss (nats a token)", "training tokens"):
        assert text in svg
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"\.svg"):
        save(figure, tmp_path / "figure.bmp")


@pytest.mark.parametrize("axis", ["tokens", "epochs", "flops", "flops_per_unique"])
@pytest.mark.parametrize("place", [0.7636, 12.04, 258_960.4, 3.094e11, 1.2e20])
def test_tables_and_figures_write_a_place_alike(axis: str, place: float) -> None:
    row: dict[str, Any] = {
        "group": {}, "status": "crossed", "axis": axis, "crossover": place, "last_x": place,
        "ci95": [place, None],
    }  # fmt: skip
    cells = table_row(row)
    written = figure_text(place, axis).split(" ")[0]
    assert cells[f"crossover ({axis})"] == cells["compared up to"] == written
    assert cells["95 % interval"] == f"{written} to beyond the measured range"
