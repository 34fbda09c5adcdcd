"""Which run would sharpen a crossover most for its FLOPs."""

from pathlib import Path

import numpy as np
import pytest

from tests.made_runs import MakeRun, make_crossing_seeds
from workbench.analysis.crossover import crossovers
from workbench.errors import InputError
from workbench.laws.next_run import next_runs
from workbench.recipe import load_recipe
from workbench.store import ingest

STEPS = range(1, 400, 20)


def noisy(at: float, seed: int) -> dict[int, float]:
    rng = np.random.default_rng(seed)
    return {s: 3.0 + (at - s) / 400 + rng.normal(0, 0.01) for s in STEPS}


def pair(make_run: MakeRun, name: str, at: float, *overrides: str, seed: int = 0) -> None:
    extra = [*overrides, f"training.seed={seed}"]
    make_run(f"a{name}", dict.fromkeys(STEPS, 3.0), overrides=extra)
    make_run(f"d{name}", noisy(at, seed), overrides=[*extra, "training.objective='mdlm'"])


def test_a_seen_crossover_wants_another_seed(results: Path, make_run: MakeRun) -> None:
    pair(make_run, "x", 150)
    ingest(results)
    (row,) = next_runs(results, "made")
    assert (row["kind"], row["set"]) == ("another seed", ["seed=1"])
    assert row["width_expected"] == pytest.approx(row["width_now"] / np.sqrt(2))
    assert row["train_flops"] > 0


def test_an_unseen_crossover_wants_more_tokens(results: Path, make_run: MakeRun) -> None:
    pair(make_run, "x", 900)
    ingest(results)
    (row,) = next_runs(results, "made")
    assert row["kind"] == "longer"
    (override,) = row["set"]
    assert int(override.removeprefix("training.total_tokens=")) > 400 * 2048
    assert row["width_expected"] < row["width_now"]


def test_an_unseen_crossover_is_sought_where_others_were_measured(
    results: Path, make_run: MakeRun
) -> None:
    for name, unique, at in (("x", 6_400, 60), ("y", 12_800, 130), ("z", 25_600, 320)):
        pair(make_run, name, at, f"data.unique_tokens={unique}")
    pair(make_run, "far", 900, "data.unique_tokens=51200")
    ingest(results)
    (row,) = (row for row in next_runs(results, "made") if row["kind"] == "longer")
    assert row["evidence"]["used"] == "measured crossovers"
    high = row["evidence"]["sources"][0]["range"][1]
    reached = 6 * 181_440 * 381 * 2048
    assert row["width_now"] == pytest.approx(np.log(high / reached))
    assert "from measured crossovers" in row["why"]
    # Not farther than a decade at once, however far the range goes.
    (override,) = row["set"]
    planned = load_recipe("quickstart").runs[0].training.total_tokens
    assert planned is not None
    tokens = int(override.removeprefix("training.total_tokens="))
    assert tokens == pytest.approx(planned * min(10, high / reached), rel=1e-6)


def test_what_is_known_of_a_place_comes_with_every_candidate(
    results: Path, make_run: MakeRun
) -> None:
    pair(make_run, "x", 150)
    ingest(results)
    (row,) = next_runs(results, "made", axis="epochs")
    source = row["evidence"]["sources"][0]
    assert source["kind"] == "measured crossovers"
    assert source["expected_flops"] == pytest.approx(150 * 2048 * 6 * 181_440, rel=0.1)
    assert source["outside"] == {}


def test_the_first_row_shrinks_most_per_flop(results: Path, make_run: MakeRun) -> None:
    pair(make_run, "x", 150)
    pair(make_run, "y", 900, "data.unique_tokens=32000")
    ingest(results)
    rows = next_runs(results, "made")
    assert [row["kind"] for row in rows] == ["longer", "another seed"]
    gains = [row["shrink_per_flop"] for row in rows]
    assert gains == sorted(gains, reverse=True)


def test_each_seed_more_helps_less(results: Path, make_run: MakeRun) -> None:
    for seed in (0, 1, 2):
        pair(make_run, f"x{seed}", 150 + 10 * seed, seed=seed)
    ingest(results)
    (row,) = next_runs(results, "made")
    assert row["set"] == ["training.seed=3"]
    assert row["width_expected"] == pytest.approx(row["width_now"] * np.sqrt(3 / 4))
    assert "scatter between seeds" in row["why"]


def test_seeds_of_text_and_training_go_on_together(results: Path, make_run: MakeRun) -> None:
    make_crossing_seeds(make_run, 150, seeds=4, documents=3)
    ingest(results)
    (row,) = next_runs(results, "made")
    assert row["set"] == ["seed=4"]
    assert 0 < row["width_expected"] < row["width_now"]
    # What the documents add does not shrink with another seed.
    assert row["width_expected"] > row["width_now"] * np.sqrt(4 / 5)
    override = load_recipe("quickstart", row["set"]).runs[0]
    assert (override.data.seed, override.training.seed) == (4, 4)


def test_one_seed_with_documents_wants_another_though_its_band_has_no_interval(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", noisy(1_000_000, 1), items=[0.1, -0.1, 0.0])
    make_run("d", {s: v - (s - 150) / 400 for s, v in noisy(1_000_000, 2).items()},
             overrides=["training.objective='mdlm'"], items=[0.1, -0.1, 0.0])  # fmt: skip
    ingest(results)
    assert crossovers(results, "made", "val_loss", "tokens")[0]["ci95"] is None
    (row,) = next_runs(results, "made")
    assert row["kind"] == "another seed"
    assert "bootstrap" in row["why"]


def test_an_undecided_pair_wants_more_tokens(results: Path, make_run: MakeRun) -> None:
    make_crossing_seeds(make_run, 390, seeds=3)
    ingest(results)
    (row,) = next_runs(results, "made")
    assert row["kind"] == "longer"
    assert row["why"].startswith("undecided by")


def test_imported_runs_cannot_be_run_again(results: Path, make_run: MakeRun) -> None:
    from workbench.importing.importer import import_runs

    import_runs("reference", None, results)
    with pytest.raises(InputError, match="imported"):
        next_runs(results, "reference")
