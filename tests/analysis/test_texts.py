"""Seeds of training that share a text count as one draw of it."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.made_runs import MakeRun
from workbench.analysis.crossed import CrossedMean, crossed_difference, crossed_mean, seeds_mean
from workbench.analysis.crossed_interval import interval
from workbench.analysis.curves import Floats
from workbench.analysis.difference import differences
from workbench.analysis.intervals import interval_over_seeds
from workbench.analysis.outcomes import outcomes
from workbench.analysis.texts import ONE_TEXT, draws_of
from workbench.store import ingest

MDLM = "training.objective='mdlm'"
NESTED = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def nested(rng: np.random.Generator, documents: int) -> Floats:
    """(12, documents, 1): three seeds of training on each of four texts."""
    return np.asarray(
        rng.normal(0, 2.0, 4)[NESTED][:, None, None]
        + rng.normal(0, 0.5, (12, 1, 1))
        + rng.normal(0, 0.3, (1, documents, 1))
        + rng.normal(0, 0.3, 4 * documents).reshape(4, documents)[NESTED][:, :, None]
    )


def part(mean: CrossedMean, of: str) -> tuple[float, float]:
    (found,) = (one for one in mean.parts if one.of == of)
    return float(found.covariance[0, 0]), found.dof


def test_several_seeds_on_each_text_are_as_their_means_over_each_text() -> None:
    values = nested(np.random.default_rng(0), 6)
    whole = crossed_mean(values, np.ones(6), NESTED)
    of_texts = crossed_mean(values.reshape(4, 3, 6, 1).mean(axis=1), np.ones(6))
    assert whole.value == pytest.approx(of_texts.value)
    for name in ("seeds", "documents", "interaction"):
        assert part(whole, name) == pytest.approx(part(of_texts, name)), name
    assert whole.draws == (12, 4)
    assert "12 seeds on 4 texts and 6 documents" in str(interval(whole).method)


def test_texts_of_unequal_numbers_of_seeds_leave_the_mean_over_seeds() -> None:
    values = np.array([1.0, 2.0, 9.0])[:, None]
    mean = seeds_mean(values, ["a", "a", "b"])
    assert mean.value == pytest.approx([4.0])
    # The sums of the seeds' distances from the mean are -5 and 5 of 3 seeds.
    assert part(mean, "seeds") == pytest.approx((2 * (25 + 25) / 9, 1))


@pytest.mark.parametrize("texts", [None, [None] * 12, list(range(12)), [7] * 12])
def test_seeds_on_texts_of_their_own_or_unknown_or_one_text_are_each_a_draw(
    texts: list[int] | None,
) -> None:
    values = nested(np.random.default_rng(1), 6)
    mean, plain = crossed_mean(values, np.ones(6), texts), crossed_mean(values, np.ones(6))
    assert part(mean, "seeds") == pytest.approx(part(plain, "seeds"))
    found = interval(mean)
    assert found.note == (ONE_TEXT if texts == [7] * 12 else None)
    assert "12 seeds and 6 documents" in str(found.method)


def test_a_difference_is_over_the_texts_of_the_side_with_fewer() -> None:
    values = nested(np.random.default_rng(2), 6)
    mean = crossed_difference(values, values[:6], np.ones(6), (NESTED, NESTED[:6]))
    assert mean.draws == (6, 2)
    one = crossed_difference(values, values[:3], np.ones(6), (NESTED, NESTED[:3]))
    assert one.draws.one_text
    assert ONE_TEXT in str(interval(one).note)


def test_intervals_hold_the_truth_where_texts_are_shared_and_would_not_without() -> None:
    rng = np.random.default_rng(3)
    hits = {"texts": 0, "seeds": 0}
    for _ in range(400):
        values = nested(rng, 30)
        for name, texts in (("texts", NESTED), ("seeds", None)):
            low, high = interval(crossed_mean(values, np.ones(30), texts)).ci95 or (1, 0)
            hits[name] += low <= 0 <= high
    assert 0.92 <= hits["texts"] / 400 <= 0.98
    assert hits["seeds"] / 400 < 0.85


def test_places_along_training_are_over_texts_too() -> None:
    logs = np.array([0.0, 0.2, 1.0, 1.4, 3.0, 3.2])
    found = interval_over_seeds(np.exp(logs).tolist(), [0, 0, 1, 1, 2, 2])
    expected = stats.ttest_1samp(logs.reshape(3, 2).mean(axis=1), 0).confidence_interval(0.95)
    assert found["ci95"] == pytest.approx(np.exp(expected).tolist())
    assert found["ci95_method"] == "t interval over 6 seeds on 3 texts"
    assert interval_over_seeds([1.0, 2.0], [4, 4])["ci95_note"] == ONE_TEXT


def test_the_numbers_of_draws_are_those_that_are_known() -> None:
    assert str(draws_of(1, [0])) == "1 seed"
    assert str(draws_of(3, [0, 1, 2])) == str(draws_of(3, None)) == "3 seeds"
    assert str(draws_of(3, [0, 1, 1])) == "3 seeds on 2 texts"
    assert draws_of(2, [0, None]).texts is None


def test_runs_of_a_study_are_grouped_by_their_text(tmp_path: Path, make_run: MakeRun) -> None:
    """Ten runs a side on two texts: one degree of freedom, not nine."""
    for seed in range(10):
        text, own = seed % 2, 0.01 * (seed // 2)
        for name, value, side in (("a", 3.0, []), ("d", 2.0, [MDLM])):
            values = {10: 4.0, 20: value + own + text * (0.5 if name == "a" else 0.0)}
            seeds = [f"data.seed={text}", f"training.seed={seed}"]
            make_run(f"{name}{seed}", values, overrides=[*seeds, *side])
    results = tmp_path / "results"
    ingest(results)
    (row,) = differences(results, "made", "val_loss")
    assert row["seeds"] == 10
    assert row["ci95_method"] == "t interval over 10 seeds on 2 texts, 1 degree of freedom"
    gaps = np.array([-1.0, -1.5])
    expected = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert row["ci95"] == pytest.approx(list(expected))
    level = outcomes(results, "made", "val_loss")[0]["last"]
    assert level["ci95_method"] == "t interval over 10 seeds on 2 texts, 1 degree of freedom"
