"""What a challenger's data are worth in the baseline's unique tokens."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_runs import MakeRun, make_crossing_seeds
from workbench.analysis.budgets import Question, read_off
from workbench.analysis.curves import Curve
from workbench.analysis.effective_data import effective_data
from workbench.analysis.effective_interval import interval_of
from workbench.errors import InputError
from workbench.store import ingest

BUDGETS = np.array([10_000.0, 20_000.0, 40_000.0])
MDLM = "training.objective='mdlm'"


def unique(tokens: float) -> str:
    return f"data.unique_tokens={int(tokens)}"


def test_budgets_are_interpolated_in_their_logarithm() -> None:
    reading = read_off(BUDGETS, np.array([3.0, 2.0, 1.0]), 1.5, higher=False)
    assert reading.effective == pytest.approx(20_000 * 2**0.5)
    assert (reading.bound, reading.monotone) == (None, True)
    assert read_off(BUDGETS, np.array([3.0, 2.0, 1.0]), 2.0, higher=False).effective == 20_000
    assert read_off(BUDGETS, np.array([3.0, 2.0, 1.0]), 3.0, higher=False).effective == 10_000
    assert read_off(BUDGETS, np.array([0.1, 0.2, 0.3]), 0.25, higher=True).effective == (
        pytest.approx(20_000 * 2**0.5)
    )


def test_outside_the_budgets_there_is_a_bound_and_no_number() -> None:
    better = read_off(BUDGETS, np.array([3.0, 2.0, 1.0]), 0.9, higher=False)
    worse = read_off(BUDGETS, np.array([3.0, 2.0, 1.0]), 3.1, higher=False)
    assert (better.effective, better.bound) == (None, "lower")
    assert (worse.effective, worse.bound) == (None, "upper")


def test_a_smaller_budget_that_is_as_good_by_chance_does_not_count() -> None:
    reading = read_off(BUDGETS, np.array([1.0, 3.0, 1.0]), 2.0, higher=False)
    assert reading.effective == pytest.approx(20_000 * 2**0.5)
    assert not reading.monotone


@pytest.mark.parametrize(
    ("values", "monotone"),
    [
        ((3, 2, 1), True),
        ((3, 3, 1), True),
        ((2, 2, 2), True),
        ((3, 1, 2), False),
        ((2, 3, 1), False),
    ],
)
def test_monotone_is_where_no_larger_budget_is_worse(
    values: tuple[float, ...], monotone: bool
) -> None:
    for sign, higher in ((1, False), (-1, True)):
        for value in (0.5, 2.5, 3.5):
            reading = read_off(BUDGETS, sign * np.array(values), sign * value, higher=higher)
            assert reading.monotone is monotone


@given(
    st.lists(st.floats(0.1, 10), min_size=2, max_size=6), st.floats(0.1, 10), st.floats(1e-2, 1e3)
)
def test_effective_tokens_scale_with_the_budgets(
    values: list[float], value: float, scale: float
) -> None:
    budgets = 1e4 * np.exp2(np.arange(len(values), dtype=np.float64))
    reading = read_off(budgets, np.array(values), value, higher=False)
    other = read_off(scale * budgets, np.array(values), value, higher=False)
    assert reading.bound == other.bound
    if reading.effective is not None:
        assert other.effective == pytest.approx(scale * reading.effective, rel=1e-9)
        assert budgets[0] <= reading.effective * (1 + 1e-12)
        assert reading.effective <= budgets[-1] * (1 + 1e-12)


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=6), st.floats(0.1, 10), st.floats(0.1, 10))
def test_a_better_value_is_never_worth_less(values: list[float], a: float, b: float) -> None:
    budgets = 1e4 * np.exp2(np.arange(len(values), dtype=np.float64))

    def worth(value: float) -> float:
        reading = read_off(budgets, np.array(values), value, higher=False)
        return reading.effective or {"lower": np.inf, "upper": 0.0}[str(reading.bound)]

    assert worth(min(a, b)) >= worth(max(a, b)) * (1 - 1e-12)


def test_each_challenger_is_read_off_the_baselines_budgets(
    results: Path, make_run: MakeRun
) -> None:
    for budget, best in zip(BUDGETS, (3.0, 2.0, 1.0), strict=True):
        values = {1: 5.0, 100: best, 200: best + 0.4}
        make_run(f"a{budget:.0f}", values, overrides=[unique(budget)])
    make_run("m1", {1: 5.0, 200: 2.5}, overrides=[unique(10_000), MDLM])
    make_run("m2", {1: 5.0, 200: 0.5}, overrides=[unique(20_000), MDLM])
    make_run("other", {1: 0.1}, overrides=[unique(10_000), MDLM, "training.lr=1e-4"])
    ingest(results)
    first, second = effective_data(results, "made", "val_loss")
    assert first["group"] == {"unique_tokens": 10_000, "n_params": 181_440}
    assert first["effective_unique_tokens"] == pytest.approx(10_000 * 2**0.5)
    assert first["ratio"] == pytest.approx(2**0.5)
    assert (first["range"], first["bound"], first["note"]) == ([10_000, 40_000], None, None)
    assert (first["ci95"], first["ci95_note"]) == (None, "fewer than 8 points")
    assert (second["effective_unique_tokens"], second["ratio"]) == (None, None)
    assert (second["bound"], second["ratio_lower_bound"]) == ("lower", 2.0)
    assert second["note"] == (
        "outside the measured range: AR at 40,000 unique tokens does not reach it yet"
    )
    final = effective_data(results, "made", "val_loss", at="final")[0]
    assert final["effective_unique_tokens"] == pytest.approx(10_000 * 2**0.9)
    json.dumps([first, second, final], allow_nan=False)


def test_an_answer_outside_the_budgets_says_on_which_side_and_how_far(
    results: Path, make_run: MakeRun
) -> None:
    for budget, best in zip(BUDGETS, (3.0, 1.0, 2.0), strict=True):
        make_run(f"a{budget:.0f}", {1: best}, overrides=[unique(budget)])
    for budget, best in zip(BUDGETS, (3.5, 1.5, 0.5), strict=True):
        make_run(f"m{budget:.0f}", {1: best}, overrides=[unique(budget), MDLM])
    ingest(results)
    worse, middle, better = effective_data(results, "made", "val_loss")
    columns = ("bound", "ratio_lower_bound", "ratio_upper_bound")
    assert [worse[key] for key in columns] == ["upper", None, 1.0]
    assert [middle[key] for key in columns] == ["lower", 2.0, None]
    assert [better[key] for key in columns] == ["lower", 1.0, None]
    kinds = ("does not reach it yet", "is better already", "does not improve with every")
    found = [[kind in row["note"] for kind in kinds] for row in (worse, middle, better)]
    assert found == [[False, True, True], [True, False, True], [True, False, True]]
    assert worse["baseline_values"] == [[10_000, 3.0], [20_000, 1.0], [40_000, 2.0]]


def test_budgets_of_equal_epochs_are_still_comparable(results: Path, make_run: MakeRun) -> None:
    for budget, best in ((12_800, 3.0), (25_600, 2.0)):
        tokens = [unique(budget), f"training.total_tokens={64 * budget}"]
        make_run(f"a{budget}", {1: best}, overrides=tokens)
        make_run(f"m{budget}", {1: best - 0.5}, overrides=[*tokens, MDLM])
    ingest(results)
    first, second = effective_data(results, "made", "val_loss")
    assert first["effective_unique_tokens"] == pytest.approx(12_800 * 2**0.5)
    assert second["bound"] == "lower"


def test_names_of_imported_budgets_do_not_part_them(results: Path, make_run: MakeRun) -> None:
    for budget, best in zip(BUDGETS, (3.0, 2.0, 1.0), strict=True):
        for name, overrides, shift in (("a", [], 0.0), ("m", [MDLM], -0.5)):
            run = make_run(
                f"{name}{budget:.0f}", {1: best + shift}, overrides=[unique(budget), *overrides]
            )
            document = run.config_json()
            document["config"]["labels"] = {"setting": f"1B_{budget:.0f}"}
            run.config_path.write_text(json.dumps(document))
    ingest(results)
    rows = effective_data(results, "made", "val_loss")
    assert [row["effective_unique_tokens"] for row in rows[:2]] == pytest.approx(
        [10_000 * 2**0.5, 20_000 * 2**0.5]
    )
    assert rows[0]["group"] == {"unique_tokens": 10_000, "n_params": 181_440}


def test_seeds_give_an_interval(results: Path, make_run: MakeRun) -> None:
    for seed, shift in enumerate((0.0, 0.1, -0.1)):
        s = f"training.seed={seed}"
        for budget, best in zip(BUDGETS, (3.0, 2.0, 1.0), strict=True):
            make_run(f"a{budget:.0f}-{seed}", {1: best}, overrides=[unique(budget), s])
        make_run(f"m{seed}", {1: 1.8 + shift}, overrides=[unique(10_000), s, MDLM])
    ingest(results)
    (row,) = effective_data(results, "made", "val_loss")
    assert row["effective_unique_tokens"] == pytest.approx(20_000 * 2**0.2)
    assert row["ci95_method"] == "t interval over 3 seeds"
    half = 4.302653 * 0.1 * np.log(2) / 3**0.5
    middle = row["effective_unique_tokens"]
    assert row["ci95"] == pytest.approx([middle * np.exp(-half), middle * np.exp(half)], rel=1e-5)


def test_one_seed_gets_an_interval_from_its_noise(results: Path, make_run: MakeRun) -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(10, 410, 10)

    def run(name: str, level: float, overrides: list[str]) -> None:
        values = level + 20 / steps + rng.normal(0, 0.02, len(steps))
        make_run(name, dict(zip(steps.tolist(), values.tolist(), strict=True)), overrides=overrides)

    for budget, level in zip(BUDGETS, (3.0, 2.0, 1.0), strict=True):
        run(f"a{budget:.0f}", level, [unique(budget)])
    run("m", 1.5, [unique(10_000), MDLM])
    ingest(results)
    for at in ("best", "final"):
        (row,) = effective_data(results, "made", "val_loss", at=at)
        low, high = row["ci95"]
        assert low <= row["effective_unique_tokens"] <= high
        assert low <= 20_000 * 2**0.5 <= high
        assert high / low < 1.25
        assert row["ci95_method"].startswith("block bootstrap")


def test_unfinished_runs_are_named_and_left_out_beside_finished_ones(
    results: Path, make_run: MakeRun
) -> None:
    for tokens, level in zip(BUDGETS, (3.0, 2.0, 1.0), strict=True):
        make_run(f"a{tokens}", {10: level}, overrides=[unique(tokens)])
    make_run("d", {10: 1.5}, overrides=[unique(20_000), MDLM])
    ingest(results)
    (before,) = effective_data(results, "made", "val_loss")
    late = [unique(20_000), "training.seed=9"]
    make_run("late-a", {5: 9.0}, state="interrupted", overrides=late)
    make_run("late-d", {5: 9.0}, state="failed", overrides=[*late, MDLM])
    ingest(results)
    (row,) = effective_data(results, "made", "val_loss")
    assert before.pop("unfinished") == []
    assert sorted(row.pop("unfinished")) == ["late-a", "late-d"]
    assert row == before


def test_values_of_documents_give_an_interval_over_seeds_and_documents(
    results: Path, make_run: MakeRun
) -> None:
    for tokens, level in zip(BUDGETS, (3.2, 2.8, 2.4), strict=True):
        own = [unique(tokens)]
        at = 150 + tokens / 1e4
        make_crossing_seeds(make_run, at, level=level, spread=0.01, overrides=own)
    ingest(results)
    row = effective_data(results, "made", "val_loss")[0]
    low, high = row["ci95"]
    assert low < row["effective_unique_tokens"] < high
    assert "3 seeds and 24 documents (crossed)" in row["ci95_method"]


@pytest.mark.parametrize(("metric", "first"), [("val_loss", 0), ("cloze_acc", 1)])
def test_seeds_are_paired_where_all_budgets_have_them_and_added_up_elsewhere(
    results: Path, make_run: MakeRun, metric: str, first: int
) -> None:
    """What a seed moves in all runs alike is no uncertainty of paired ones, in whatever order the
    runs are listed."""
    sign = 1 if metric == "val_loss" else -1
    levels = list(zip(BUDGETS, (0.8, 0.6, 0.4), strict=True))[first:]
    rng = np.random.default_rng(0)
    documents = rng.normal(0, 0.01, 24)
    for seed, common in enumerate((0.0, 0.2, -0.2)):
        for other, study in ((seed, "paired"), (seed + 3, "unpaired")):
            for name, level, tokens, own in (
                *((f"z{tokens:.0f}", level, tokens, seed) for tokens, level in levels),
                (f"{9 - seed}", 0.5, 20_000, other),
            ):
                seeds = [f"data.seed={own}", f"training.seed={own}", unique(tokens)]
                make_run(
                    f"{name}-{study}-{seed}",
                    {1: 1 + sign, 2: 1 + sign * (level + common + rng.normal(0, 0.001))},
                    study=study,
                    metric=metric,
                    overrides=[*seeds, *([MDLM] if name == f"{9 - seed}" else [])],
                    items=documents,
                )
    ingest(results)
    for at in ("best", "final"):
        widths = {}
        for study in ("paired", "unpaired"):
            (row,) = effective_data(results, study, metric, at=at)
            assert row["effective_unique_tokens"] == pytest.approx(20_000 * 2**0.5, rel=0.02)
            low, high = row["ci95"]
            widths[study] = np.inf if None in (low, high) else np.log(high / low)
        assert widths["paired"] < 0.1
        assert widths["unpaired"] > 0.5


@pytest.mark.parametrize(
    ("documents", "seeds", "crossed"),
    [
        (2, [(0, 1), (0, 1), (0, 1)], True),
        (1, [(0, 1), (0, 1), (0, 1)], False),  # nothing is left to measure the best of one on
        (2, [(0, 1), (0, 1)], False),  # one budget, which has no between
        (2, [(0, 1), (0, 1), (2, 3)], True),
        (2, [(0, 1), (0, 1), (0, 1, 2)], False),  # budgets of unequal seeds
    ],
)
def test_documents_are_used_where_two_of_them_two_budgets_and_as_many_seeds_are_known(
    results: Path, make_run: MakeRun, documents: int, seeds: list[tuple[int, ...]], crossed: bool
) -> None:
    levels = zip(BUDGETS, (3.0, 2.0), seeds[1:], strict=False)
    sides = [
        ("m", 10_000, 2.5, [MDLM], seeds[0]),
        *(("a", *level[:2], [], level[2]) for level in levels),
    ]
    for name, tokens, level, keys, own in sides:
        for seed in own:
            make_run(
                f"{name}{tokens:.0f}-{seed}",
                {10: 5.0, 20: level + 0.01 * (seed % 2), 30: level + 1},
                overrides=[unique(tokens), f"training.seed={seed}", *keys],
                items=[0.1, -0.1][:documents],
            )
    ingest(results)
    (row,) = effective_data(results, "made", "val_loss")
    assert ("documents (crossed)" in str(row["ci95_method"])) is crossed
    assert row["seeds"] == 2
    assert row["value"] == pytest.approx(2.505 + 0.1 * (documents == 1), rel=1e-5)


@pytest.mark.parametrize("level", [3.5, 0.5])
def test_an_answer_outside_the_budgets_has_no_interval_with_documents_either(
    results: Path, make_run: MakeRun, level: float
) -> None:
    for seed in (0, 1):
        key = f"training.seed={seed}"
        for tokens, value in zip(BUDGETS, (3.0, 2.0, 1.0), strict=True):
            values = {10: value + 0.5 * seed}
            make_run(
                f"a{tokens:.0f}-{seed}", values, overrides=[key, unique(tokens)], items=[0.1, -0.1]
            )
        make_run(
            f"m{seed}",
            {10: level + 0.2 * seed},
            overrides=[key, unique(1e4), MDLM],
            items=[0.1, -0.1],
        )
    ingest(results)
    (row,) = effective_data(results, "made", "val_loss")
    assert row["bound"] == ("upper" if level > 3 else "lower")
    assert (row["effective_unique_tokens"], row["ci95"]) == (None, None)


def test_an_answer_says_whether_imported_runs_are_in_it(results: Path, make_run: MakeRun) -> None:
    for tokens, level in zip(BUDGETS, (3.0, 2.0, 1.0), strict=True):
        make_run(f"a{tokens:.0f}", {10: level}, overrides=[unique(tokens)])
    make_run("m1", {10: 1.5}, overrides=[unique(10_000), MDLM])
    make_run("m2", {10: 1.5}, overrides=[unique(20_000), MDLM], imported=True)
    ingest(results)
    rows = effective_data(results, "made", "val_loss")
    assert [row["imported"] for row in rows] == [False, True]


def test_the_interval_covers_the_worth_of_the_courses_below_the_noise() -> None:
    rng = np.random.default_rng(1)
    x = np.linspace(1, 40, 40)
    question = Question(Path(), "s", "val_loss", "best", "ar", "mdlm", "seeds")

    def noisy(level: float) -> list[Curve]:
        y = level + 2 / x + rng.normal(0, 0.05, 40)
        return [Curve("r", {"training.seed": 0}, {"tokens": x}, y, np.full(40, np.nan), None)]

    covered = 0
    for _ in range(60):
        budgets = {u: noisy(y) for u, y in zip(BUDGETS.tolist(), (3.0, 2.0, 1.0), strict=True)}
        curves = noisy(1.5)
        values = np.array([question.mean(curves) for curves in budgets.values()])
        reading = read_off(BUDGETS, values, question.mean(curves), higher=False)
        low, high = interval_of(budgets, curves, question, reading)["ci95"]
        covered += low <= 20_000 * 2**0.5 <= high
    assert covered >= 51


def test_a_study_without_pairs_is_refused(results: Path, make_run: MakeRun) -> None:
    make_run("a", {1: 1.0})
    ingest(results)
    with pytest.raises(InputError, match=r'no run of made .* has training.objective = "mdlm"'):
        effective_data(results, "made", "val_loss")
    make_run("b", {1: 1.0}, overrides=["training.objective='mdlm'", "training.lr=0.1"])
    ingest(results)
    with pytest.raises(InputError, match="all keys but the unique tokens"):
        effective_data(results, "made", "val_loss")
    with pytest.raises(InputError, match=r"--at first\. Known: last, best"):
        effective_data(results, "made", "val_loss", at="first")
