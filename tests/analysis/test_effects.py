"""What each factor of a study changes, alone, together, and in the crossover."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.made_runs import MakeRun
from workbench.analysis.bounds import effect_bound_notes
from workbench.analysis.crossover_effects import crossover_effects
from workbench.analysis.effects import effects, variants
from workbench.analysis.table_rows import effect_table_row
from workbench.errors import InputError
from workbench.figures import effects_figure
from workbench.store import ingest

DROPOUT, MASK = "model.dropout", "training.input_mask"
NOISE = np.array([0.03, -0.02, 0.05, -0.06])  # of seeds, in every configuration alike


@pytest.fixture
def factorial(results: Path, make_run: MakeRun) -> Path:
    """Dropout gains 0.3 and a mask 0.1, together 0.05 less than both; seeds add their own."""
    rng = np.random.default_rng(3)
    for dropout in (0.0, 0.1):
        for mask in (0.0, 0.3):
            for seed, noise in enumerate(NOISE):
                last = 2.5 - 3 * dropout - mask / 3 + 5 / 3 * dropout * mask + noise
                make_run(
                    f"r{dropout}{mask}{seed}",
                    {10: 3.0, 20: last + rng.normal(0, 0.005)},
                    overrides=[
                        f"training.seed={seed}", f"model.dropout={dropout}",
                        f"training.input_mask={mask}",
                    ],
                )  # fmt: skip
    ingest(results)
    return results


def test_effects_are_means_over_the_pairs_that_differ_in_one_factor(factorial: Path) -> None:
    rows = {(row["factor"], row["other"]): row for row in effects(factorial, "made")}
    assert set(rows) == {(DROPOUT, None), (MASK, None), (DROPOUT, MASK)}
    dropout, mask, both = (
        rows[DROPOUT, None], rows[MASK, None], rows[DROPOUT, MASK]
    )  # fmt: skip
    assert dropout["effect"] == pytest.approx(-0.275, abs=0.02), "half of the interaction is in it"
    assert mask["effect"] == pytest.approx(-0.075, abs=0.02)
    assert both["effect"] == pytest.approx(0.05, abs=0.04)
    assert (dropout["lowest"], dropout["highest"]) == (
        pytest.approx(-0.3, abs=0.02), pytest.approx(-0.25, abs=0.02),
    )  # fmt: skip
    assert dropout["pairs"] == 2
    assert dropout["seeds"] == 4
    assert (dropout["better"], both["better"]) == ("level", None)
    assert dropout["ci95"][0] < -0.275 < dropout["ci95"][1]
    assert dropout["ci95"][1] - dropout["ci95"][0] < 0.05, "seeds are paired: their noise is gone"
    assert "4 seeds" in dropout["ci95_method"]


def test_an_effects_interval_is_the_paired_t_interval_of_its_pairs_means(
    results: Path, make_run: MakeRun
) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(2.5, 0.1, (2, 2, 5))  # dropout, mask, seed
    for d, dropout in enumerate((0.0, 0.1)):
        for m, mask in enumerate((0.0, 0.3)):
            for seed in range(5):
                make_run(
                    f"r{d}{m}{seed}", {10: float(values[d, m, seed])},
                    overrides=[
                        f"training.seed={seed}", f"model.dropout={dropout}",
                        f"training.input_mask={mask}",
                    ],
                )  # fmt: skip
    ingest(results)
    row = next(r for r in effects(results, "made", at="last") if r["factor"] == DROPOUT)
    own = (values[1] - values[0]).mean(axis=0)
    expected = stats.ttest_1samp(own, 0.0).confidence_interval(0.95)
    assert row["effect"] == pytest.approx(own.mean())
    assert row["ci95"] == pytest.approx([expected.low, expected.high])


def test_intervals_hold_the_choice_of_documents_too(results: Path, make_run: MakeRun) -> None:
    of_documents = list(np.random.default_rng(2).normal(0, 0.3, 40))
    for dropout in (0.0, 0.1):
        shifts = [(1 + dropout) * one for one in of_documents]  # some texts gain, some lose
        for seed in range(3):
            make_run(
                f"r{dropout}{seed}", {10: 3.0, 20: 2.5 - dropout}, items=shifts,
                overrides=[f"training.seed={seed}", f"model.dropout={dropout}"],
            )  # fmt: skip
    ingest(results)
    both, seeds = (effects(results, "made", over=over)[0] for over in ("seeds+documents", "seeds"))
    assert both["over"] == "seeds+documents"
    assert "40 documents" in both["ci95_method"]
    width = [row["ci95"][1] - row["ci95"][0] for row in (both, seeds)]
    assert width[0] > width[1]


def test_a_key_that_an_objective_does_not_have_is_at_its_reference_there(
    results: Path, make_run: MakeRun
) -> None:
    """AR has no draws of noise without a mask: plain AR stands beside diffusion with one draw."""
    for seed in range(2):
        make_run(f"a{seed}", {10: 2.5}, overrides=[f"training.seed={seed}"])
        for draws in (1, 2):
            make_run(
                f"d{draws}{seed}", {10: 2.4 - 0.1 * draws + 0.01 * seed},
                overrides=[
                    f"training.seed={seed}", "training.objective='mdlm'",
                    f"training.noise_samples={draws}",
                ],
            )  # fmt: skip
    ingest(results)
    rows = {row["factor"]: row for row in effects(results, "made")}
    objective = rows["training.objective"]
    assert (objective["reference"], objective["level"], objective["pairs"]) == ("ar", "mdlm", 1)
    assert objective["effect"] == pytest.approx(-0.195), "one draw of diffusion against AR"
    assert rows["training.noise_samples"]["effect"] == pytest.approx(-0.1)
    shown = variants(results, "made")
    assert [row["changed"] for row in shown] == [
        {"training.objective": "mdlm", "training.noise_samples": 2},
        {"training.objective": "mdlm"},
    ]
    assert effect_table_row(shown[0])["configuration"] == "objective mdlm, noise_samples 2"


def test_the_reference_is_what_was_asked_for(factorial: Path) -> None:
    rows = effects(factorial, "made", reference={DROPOUT: 0.1})
    dropout = next(row for row in rows if row["factor"] == DROPOUT)
    assert (dropout["reference"], dropout["level"]) == (0.1, 0.0)
    assert dropout["effect"] == pytest.approx(0.275, abs=0.02)
    with pytest.raises(InputError, match=r"no run with that value\. It has 0(\.0)?, 0\.1"):
        effects(factorial, "made", reference={DROPOUT: 0.2})
    with pytest.raises(InputError, match=r"no factor of that name\. Its factors: model\.dropout"):
        effects(factorial, "made", reference={"model.dropuot": 0.1})


def test_keys_that_always_change_together_are_named_together(
    results: Path, make_run: MakeRun
) -> None:
    for seed in range(2):
        make_run(f"a{seed}", {10: 2.5}, overrides=[f"training.seed={seed}"])
        make_run(
            f"b{seed}", {10: 2.4},
            overrides=[f"training.seed={seed}", "model.dropout=0.1", "training.input_mask=0.3"],
        )  # fmt: skip
    ingest(results)
    (row,) = effects(results, "made")
    assert (row["factor"], row["moves_with"]) == (DROPOUT, [MASK])
    assert effect_table_row(row)["factor"] == f"{DROPOUT} (with {MASK})"


def test_a_key_of_both_sides_changes_on_both(results: Path, make_run: MakeRun) -> None:
    for tokens, at in ((12_800, 15), (25_600, 45)):
        key = f"data.unique_tokens={tokens}"
        for seed in range(2):
            crossing(make_run, f"a{tokens}{seed}", at, key, seed=seed)
            make_run(
                f"d{tokens}{seed}", dict.fromkeys((10, 20, 40, 80), 3.0),
                overrides=[f"training.seed={seed}", "training.objective='mdlm'", key],
            )  # fmt: skip
    ingest(results)
    (row,) = crossover_effects(results, "made")
    assert (row["factor"], row["level"]) == ("data.unique_tokens", 25_600)
    assert row["ratio"] == pytest.approx(3.0)


def test_ratios_of_crossovers_are_averaged_over_the_seeds_that_all_pairs_have(
    results: Path, make_run: MakeRun
) -> None:
    """Seed 0 of the second pair is missing: its seed 1 stands beside seed 1 of the first."""
    for mask, seeds in ((0.0, (0, 1, 2)), (0.3, (1, 2))):
        for seed in seeds:
            for dropout, factor in ((0.0, 1.0), (0.1, 4.0 if seed == 0 else 1.5 + 0.1 * seed)):
                keys = (f"model.dropout={dropout}", f"training.input_mask={mask}")
                crossing(make_run, f"a{mask}{dropout}{seed}", 12 * factor, *keys, seed=seed)
    for seed in range(3):
        make_run(
            f"d{seed}", dict.fromkeys((10, 20, 40, 80), 3.0),
            overrides=[f"training.seed={seed}", "training.objective='mdlm'"],
            compare={"match": ["data.unique_tokens"]},
        )  # fmt: skip
    ingest(results)
    (row,) = (r for r in crossover_effects(results, "made") if r["factor"] == DROPOUT)
    assert (row["pairs"], row["seeds"]) == (2, 2)
    assert row["ratio"] == pytest.approx(np.sqrt(1.6 * 1.7))


def test_a_change_without_a_seed_in_common_is_shown_as_not_measured(
    results: Path, make_run: MakeRun
) -> None:
    """It has a row without a number, and a note, beside what is measured."""
    for dropout, seeds in ((0.0, (0, 1)), (0.1, (0, 1)), (0.2, (2,))):
        for seed in seeds:
            make_run(
                f"r{dropout}{seed}", {10: 2.5 - dropout + 0.01 * seed * dropout},
                overrides=[f"training.seed={seed}", f"model.dropout={dropout}"],
            )  # fmt: skip
    ingest(results)
    for rows in (effects(results, "made"), variants(results, "made")):
        unknown, measured = sorted(rows, key=lambda row: row["pairs"])
        assert measured["effect"] == pytest.approx(-0.1, abs=0.01)
        assert (unknown["effect"], unknown["ci95"], unknown["runs"]) == (None, None, [])
        assert unknown["ci95_note"].startswith("model.dropout = 0.2: not measured")
        assert effect_table_row(unknown)["effect on best val_loss"] is None
        assert len(effects_figure(rows).data) == 1


def test_an_effect_needs_two_configurations_that_differ_in_one_factor_alone(
    results: Path, make_run: MakeRun
) -> None:
    for seed in range(2):
        make_run(f"a{seed}", {10: 2.5}, overrides=[f"training.seed={seed}"])
        for dropout, mask in ((0.1, 0.3), (0.2, 0.3), (0.1, 0.5)):
            make_run(
                f"b{dropout}{mask}{seed}", {10: 2.4},
                overrides=[
                    f"training.seed={seed}", f"model.dropout={dropout}",
                    f"training.input_mask={mask}",
                ],
            )  # fmt: skip
    ingest(results)
    with pytest.raises(InputError, match="differ in one factor alone"):
        effects(results, "made")
    assert effects(results, "made", reference={DROPOUT: 0.1})[0]["factor"] == DROPOUT
    assert variants(results, "made")[0]["changed"] == {DROPOUT: 0.1, MASK: 0.3}


def crossing(make_run: MakeRun, name: str, at: float | None, *overrides: str, seed: int) -> None:
    """AR that a challenger of 3.0 throughout overtakes at so many steps, or never."""
    steps = (10, 20, 40, 80)
    values = {s: 2.0 if at is None else 2.9 + 0.1 * float(s) / at for s in steps}
    make_run(name, values, overrides=[f"training.seed={seed}", *overrides])


def test_the_crossovers_ratio_is_measured_seed_by_seed_or_is_a_bound(
    results: Path, make_run: MakeRun
) -> None:
    for seed, shift in enumerate((1.0, 1.1)):
        crossing(make_run, f"a{seed}", 15 * shift, seed=seed)
        crossing(make_run, f"b{seed}", 30 * shift, "model.dropout=0.1", seed=seed)
        crossing(make_run, f"c{seed}", None, "model.dropout=0.3", seed=seed)
        make_run(
            f"d{seed}", dict.fromkeys((10, 20, 40, 80), 3.0),
            overrides=[f"training.seed={seed}", "training.objective='mdlm'"],
            compare={"match": ["data.unique_tokens"]},
        )  # fmt: skip
    ingest(results)
    twice, never = crossover_effects(results, "made")
    assert (twice["level"], twice["ratio"], twice["bound"]) == (0.1, pytest.approx(2.0), None)
    assert twice["ci95"] == pytest.approx([2.0, 2.0]), "seeds agree on the ratio"
    assert twice["crossed"] == {"reference": "2 of 2", "level": "2 of 2"}
    assert (never["bound"], never["ci95"]) == ("lower", None)
    assert never["ratio"] == pytest.approx(80 / np.sqrt(15 * 15 * 1.1))
    with pytest.raises(InputError, match="no two crossovers differ in one factor"):
        crossover_effects(results, "made", challenger="ar", baseline="mdlm")


def test_a_pair_with_few_seeds_does_not_cost_the_others_theirs(
    results: Path, make_run: MakeRun
) -> None:
    """It is left out, and the note says so; so are pairs that have no seed of the others."""
    for mask, seeds in ((0.0, range(5)), (0.3, (0,))):
        for seed in seeds:
            for dropout in (0.0, 0.1):
                make_run(
                    f"r{mask}{seed}{dropout}", {10: 2.5 - dropout + 0.01 * seed * dropout},
                    overrides=[
                        f"training.seed={seed}", f"model.dropout={dropout}",
                        f"training.input_mask={mask}",
                    ],
                )  # fmt: skip
    ingest(results)
    (row,) = (r for r in effects(results, "made") if (r["factor"], r["other"]) == (DROPOUT, None))
    assert (row["pairs"], row["seeds"]) == (1, 5)
    assert "model.dropout = 0.1: without 1 pair that lacks these seeds" in row["ci95_note"]


def test_an_effect_over_ar_and_diffusion_is_of_both_estimators(
    results: Path, make_run: MakeRun
) -> None:
    for seed in range(2):
        for dropout in (0.0, 0.1):
            for objective in ("ar", "mdlm"):
                make_run(
                    f"{objective}{dropout}{seed}", {10: 2.5 - dropout},
                    overrides=[
                        f"training.seed={seed}", f"model.dropout={dropout}",
                        f"training.objective='{objective}'",
                    ],
                )  # fmt: skip
    ingest(results)
    rows = {(row["factor"], row["other"]): row for row in effects(results, "made")}
    assert rows[DROPOUT, None]["estimators"] == dict.fromkeys(
        ("baseline", "challenger"), "nelbo, nll"
    )
    notes = effect_bound_notes(list(rows.values()))
    assert [note.partition(": ")[2].partition(":")[0] for note in notes] == [
        "training.objective", "model.dropout",
    ]  # fmt: skip
    assert "does not follow" in notes[1]


def test_a_figure_without_any_change_measured_is_refused(factorial: Path) -> None:
    rows = effects(factorial, "made")
    unknown = [row | {"effect": None} for row in rows if row["kind"] == "main"]
    with pytest.raises(InputError, match="nothing to draw"):
        effects_figure(unknown)
    without = effects_figure([row | {"ci95": None, "ci95_method": None} for row in rows])
    assert set(without.data["verdict"]) == {"no interval"}
    assert effect_table_row(rows[0] | {"ci95": None, "better": None})["better"] is None


def test_a_factor_is_called_by_its_last_part_too(factorial: Path) -> None:
    row = effects(factorial, "made", reference={"dropout": 0.1})[0]
    assert (row["factor"], row["reference"]) == (DROPOUT, 0.1)
