"""What is known of the critical compute: which source counts, its range, how far outside it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from tests.laws.measured import measured
from workbench.importing.importer import import_runs
from workbench.laws.best_loss import fitted_source
from workbench.laws.critical_source import FITTED, MEASURED, PUBLISHED_LAW, Question, evidence_lines
from workbench.laws.evidence import Evidence, gather, published
from workbench.laws.law import Law
from workbench.laws.measured_crossovers import NEAR
from workbench.laws.predictors import Predictor
from workbench.laws.registry import LAWS
from workbench.store import keep_fits

SHIPPED = gather(Path("no results"))
PAPER = Evidence([point for point in SHIPPED.measured if point.study == "reference"])
UNIQUE = (5e8, 1e9)


def laws(source: str = "study x", span: tuple[float, float] = (1e8, 1e9)) -> list[Predictor]:
    """AR's law, and one that starts behind and wastes fewer repeats."""
    law = LAWS["data_constrained"]
    assert isinstance(law, Law)
    return [
        Predictor(name, law, law.internal({**law.published, **changes})[None],
                  {"unique_tokens": span, "n_params": (1e7, 1e9)}, source, estimator)
        for name, changes, estimator in (
            ("ar", {}, "nll"), ("mdlm", {"B": 2500.0, "R_D": 500.0, "R_N": 500.0}, "nelbo"))
    ]  # fmt: skip


def inside(evidence: Evidence, unique: float, compute: float) -> bool:
    low, high = evidence.about(Question(unique)).used.range
    assert low is not None
    assert high is not None
    return low <= compute <= high


def test_the_crossovers_of_the_papers_curves_lie_within_the_range_for_their_unique_tokens() -> None:
    crossed = [p for p in PAPER.measured if p.status == "crossed"]
    assert len(crossed) == 12  # three metrics, two budgets, two readings
    assert {p.unique_tokens for p in crossed} == set(UNIQUE)
    for point in crossed:
        assert SHIPPED.about(Question(point.unique_tokens)).used.kind == MEASURED
        assert inside(SHIPPED, point.unique_tokens, point.compute)


def test_the_crossovers_of_a_shipped_study_lie_within_the_range_that_the_others_give() -> None:
    for study in {point.study for point in SHIPPED.measured} - {"reference"}:
        others = Evidence([point for point in SHIPPED.measured if point.study != study])
        own = [p for p in SHIPPED.measured if p.study == study and p.status == "crossed"]
        held = [inside(others, point.unique_tokens, point.compute) for point in own]
        assert sum(held) >= 0.88 * len(held), study


@pytest.mark.parametrize("unique", UNIQUE)
def test_what_one_budget_of_the_shipped_curves_says_holds_for_the_other(unique: float) -> None:
    others = Evidence([p for p in SHIPPED.measured if p.unique_tokens != unique])
    known = others.about(Question(unique))
    assert known.used.kind == MEASURED
    own = [p for p in SHIPPED.measured if p.unique_tokens == unique]
    assert len(own) == 6
    assert all(inside(others, unique, point.compute) for point in own)


def test_a_power_law_is_found_and_its_range_holds_as_many_as_it_promises() -> None:
    rng = np.random.default_rng(0)
    unique = np.repeat([1e6, 2e6, 4e6], 4)
    hits, errors = 0, []
    for _ in range(300):
        noise = rng.normal(0, 0.5, len(unique) + 1)
        points = [
            measured(u, 1e3 * u**1.5 * np.exp(e)) for u, e in zip(unique, noise, strict=False)
        ]
        known = Evidence(points).about(Question(3e6))
        errors.append(np.log(known.critical / (1e3 * 3e6**1.5)))
        hits += inside(Evidence(points), 3e6, 1e3 * 3e6**1.5 * np.exp(noise[-1]))
    assert abs(np.mean(errors)) < 0.03
    assert 0.915 < hits / 300 < 0.98  # 95 %, with the error of 300 trials


def test_the_range_widens_with_the_distance_from_what_was_measured() -> None:
    rng = np.random.default_rng(1)
    points = [measured(u, 1e3 * u**1.5 * np.exp(rng.normal(0, 0.3)))
              for u in np.repeat([1e8, 3e8], 4)]  # fmt: skip
    ranges = [Evidence(points).about(Question(u)).used.range for u in (2e8, 6e8, 1e9)]
    widths = [high / low for low, high in ranges]
    assert widths == sorted(widths)
    assert widths[2] > 1.5 * widths[0]


def test_a_pair_that_had_not_crossed_moves_the_crossover_up() -> None:
    points = [measured(1e6, c) for c in (1e12, 2e12, 4e12)]
    plain = Evidence(points).about(Question(1e6))
    bounded = Evidence([*points, *(measured(1e6, 3e13, "not_reached") for _ in range(3))])
    assert bounded.about(Question(1e6)).critical > 1.5 * plain.critical
    high = bounded.about(Question(1e6)).used.range[1]
    assert high is not None
    assert high > 3e13
    below = Evidence([*points, *(measured(1e6, 1e11, "ahead_throughout") for _ in range(3))])
    assert below.about(Question(1e6)).critical < plain.critical / 1.5


def test_one_crossover_is_as_uncertain_as_readings_elsewhere_differ() -> None:
    elsewhere = [measured(1e9, c, study="other", metric=m)
                 for c, m in ((1e20, "a_acc"), (3e20, "b_acc"), (9e20, "val_loss"))]  # fmt: skip
    known = Evidence([measured(1e6, 1e12), *elsewhere]).about(Question(1e6))
    assert known.critical == pytest.approx(1e12)
    low, high = known.used.range
    assert low is not None
    assert high is not None
    # Student's t of the two degrees of freedom that the three others leave; one crossover here.
    half = 4.302653 * np.log(3) * np.sqrt(2)
    assert np.log([1e12 / low, high / 1e12]) == pytest.approx([half, half], rel=1e-6)


def half_widths(evidence: Evidence, unique: float) -> list[float]:
    known = evidence.about(Question(unique))
    low, high = known.used.range
    assert low is not None
    assert high is not None
    return [float(np.log(known.critical / low)), float(np.log(high / known.critical))]


def test_of_three_pairs_their_own_scatter_counts_and_of_fewer_that_of_the_others() -> None:
    spread = [measured(1e9, 1e20 * np.exp(3 * k), study="other") for k in (-1, 0, 1)]
    three = [measured(1e6, 1e12 * np.exp(k / 10)) for k in (-1, 0, 1)]
    own, two = Evidence([*spread, *three]), Evidence([*spread, *three[:2]])
    expected = stats.t.ppf(0.975, 2) * 0.1 * np.sqrt(1 + 1 / 3)
    assert half_widths(own, 1e6) == pytest.approx([expected] * 2)
    # Over both places: squares of 2 x 3^2 and of 2 x 0.05^2, three degrees of freedom.
    pooled = np.sqrt((18 + 2 * 0.05**2) / 3)
    expected = stats.t.ppf(0.975, 3) * pooled * np.sqrt(1 + 1 / 2)
    assert half_widths(two, 1e6) == pytest.approx([expected] * 2)


def test_points_on_one_line_are_as_uncertain_as_readings_elsewhere() -> None:
    line = [measured(u, 1e3 * u**1.5) for u in (1e6, 2e6, 4e6)]
    spread = [measured(1e9, 1e20 * np.exp(k), study="other") for k in (-1, 0, 1)]
    evidence = Evidence([*line, *spread])
    assert evidence.about(Question(3e6)).critical == pytest.approx(1e3 * 3e6**1.5)
    expected = stats.t.ppf(0.975, 2) * np.sqrt(1 + 1 / 3)
    assert half_widths(evidence, 3e6) == pytest.approx([expected] * 2)


def test_places_that_hardly_differ_give_no_trend_of_their_own() -> None:
    close = [measured(u, c) for u, c in ((1e6, 4e12), (1.1e6, 2e12), (1.2e6, 1e12))]
    assert Evidence(close).exponents(1e6) == [2.174]
    expected = np.exp(
        np.mean([np.log(p.compute * (4e6 / p.unique_tokens) ** 2.174) for p in close])
    )
    assert Evidence(close).about(Question(4e6)).critical == pytest.approx(expected)


def test_two_equal_readings_of_one_pair_are_one() -> None:
    points = [measured(1e6, c) for c in (1e12, 2e12, 4e12)]
    twice = [replace(point, definition="best_so_far") for point in points]
    assert half_widths(Evidence([*points, *twice]), 1e6) == half_widths(Evidence(points), 1e6)
    other = [replace(point, compute=1.1 * point.compute) for point in twice]
    assert half_widths(Evidence([*points, *other]), 1e6) < half_widths(Evidence(points), 1e6)


def test_from_one_place_the_exponents_that_are_known_bound_the_way() -> None:
    points = [measured(1e6, c) for c in (1e12, 2e12, 4e12)]
    steep = [measured(1e9, 1e20, study="t"), measured(1e10, 1e23, study="t")]
    flat = [measured(1e9, 1e20, study="f"), measured(1e10, 1e21, study="f")]
    evidence = Evidence([*points, *steep, *flat])
    assert sorted(evidence.exponents(1e12)) == pytest.approx([1.0, 2.174, 3.0])
    here, there = (evidence.about(Question(u)).used.range for u in (1e6, 5e6))
    assert None not in here
    assert None not in there
    assert there[0] / here[0] == pytest.approx(5.0)
    assert there[1] / here[1] == pytest.approx(125.0)


def test_exponents_of_studies_far_from_the_way_do_not_widen_it() -> None:
    """Thousands of unique tokens say nothing of how compute grows between billions."""
    small = [measured(1e4, 1e12, study="s"), measured(1e5, 1e12 * 10**0.5, study="s")]
    large = [measured(1e9, 1e20, study="l"), measured(1e10, 1e23, study="l")]
    evidence = Evidence([*small, *large])
    assert evidence.exponents(1e10, 1e12) == pytest.approx([2.174, 3.0])
    assert evidence.exponents(1e5, 1e6) == pytest.approx([2.174, 0.5])
    assert evidence.exponents(1e5, 1e10) == pytest.approx([2.174, 0.5, 3.0])


def test_what_is_more_than_a_decade_away_is_not_near() -> None:
    evidence = Evidence([measured(1e6, 1e12)])
    assert evidence.about(Question(1e6 * NEAR)).used.kind == MEASURED
    assert evidence.about(Question(1.01e6 * NEAR)).used.kind == PUBLISHED_LAW
    assert evidence.about(Question(0.99e6 / NEAR)).used.kind == PUBLISHED_LAW


def test_the_published_law_has_the_range_of_its_measured_disagreement() -> None:
    known = PAPER.about(Question(1e8 / NEAR))
    law = known.used
    assert law.kind == PUBLISHED_LAW
    crossed = [p for p in PAPER.measured if p.status == "crossed"]
    ratios = [published(p.unique_tokens) / p.compute for p in crossed]
    assert (round(min(ratios)), round(max(ratios))) == (12, 114)
    low, high = law.range
    assert low is not None
    assert high is not None
    assert low <= published(1e7) / max(ratios)
    assert high >= published(1e7)
    (note,) = law.notes
    assert "without an interval" in note
    assert "the 12 measured crossovers lie between 0.0088 and 0.0859 times" in note
    assert law.outside == {"unique_tokens": pytest.approx(2.5)}


def test_far_from_all_data_the_range_holds_where_the_nearest_crossovers_may_lie() -> None:
    """Ten times 1e9 tokens beyond; exponents 2.174 (published) and 1 (measured)."""
    points = [measured(u, c * u) for u in (5e8, 1e9) for c in (1e9, 2e9, 3e9)]
    points = [replace(p, metric=f"m{number % 3}") for number, p in enumerate(points)]
    evidence = Evidence(points)
    assert sorted(evidence.exponents(1e12)) == pytest.approx([1, 1, 1, 2.174])
    known = evidence.about(Question(1e12))
    law, far = known.sources
    assert (law.kind, far.kind) == (PUBLISHED_LAW, MEASURED)
    assert far.outside == {"unique_tokens": pytest.approx(1e3)}
    # Not by the points' own trend, whose exponent is 1, but by the mean of all exponents.
    moved = [p.compute * (1e12 / p.unique_tokens) ** (5.174 / 4) for p in points]
    assert far.expected == pytest.approx(np.exp(np.mean(np.log(moved))))
    low, high = far.range
    assert low is not None
    assert high is not None
    assert low < 1e9 * 1e12
    assert high > 3e18 * 1000**2.174
    assert law.range[0] == pytest.approx(
        min(low, min(p.compute / published(p.unique_tokens) for p in points) * published(1e12))
    )
    assert law.range[1] == pytest.approx(max(high, published(1e12)))
    assert "1e+03 times away in unique tokens" in law.notes[0]


@pytest.mark.parametrize(("unique", "nearest"), [(1e3, 1e6), (1e12, 1e9), (3e7, 1e6)])
def test_far_from_all_data_the_nearest_speak(unique: float, nearest: float) -> None:
    evidence = Evidence([measured(1e6, 1e12), measured(1e9, 1e18)])
    (far,) = (s for s in evidence.about(Question(unique)).sources if s.kind == MEASURED)
    assert far.data["unique_tokens"] == (nearest, nearest)
    assert far.outside["unique_tokens"] == pytest.approx(max(unique / nearest, nearest / unique))


@pytest.mark.parametrize("unique", [1e4, 1e6, 1e12])
def test_a_range_is_wider_the_farther_what_was_measured(unique: float) -> None:
    def width(place: float) -> float:
        low, high = SHIPPED.about(Question(place)).used.range
        assert low is not None
        assert high is not None
        return high / low

    assert width(unique) > width(5e8 if unique < 5e8 else 1e9)


def test_where_nothing_was_measured_the_published_law_has_no_range() -> None:
    known = Evidence().about(Question(1e8, 1e20))
    assert known.critical == pytest.approx(4.72e19, rel=1e-3)
    assert known.used.range == (None, None)
    assert known.disagreement is None
    assert known.used.notes == ("the published law was published without an interval",)
    assert "without a range" in evidence_lines(known.document())[0]


def test_bounds_alone_give_no_value_but_are_shown() -> None:
    known = Evidence([measured(1e6, 1e12, "not_reached")]).about(Question(2e6))
    bounds, law = known.sources
    assert (bounds.expected, bounds.range) == (None, (1e12, None))
    assert known.used is law
    text = "\n".join(evidence_lines(known.document()))
    assert "no value, 1e12 to unbounded" in text
    assert "val_loss point by point not by 1e12" in text


def test_bounds_of_more_unique_tokens_and_upper_ones_bound_nothing_from_below() -> None:
    bound = measured(1e6, 1e12, "not_reached")
    others = [measured(4e6, 9e12, "not_reached"), measured(1e6, 5e13, "ahead_throughout")]
    known = Evidence([bound, *others]).about(Question(2e6))
    assert known.sources[0].range == (1e12, None)
    assert Evidence(others).about(Question(2e6)).sources[0].range == (None, None)


def test_sources_that_disagree_show_by_how_much() -> None:
    evidence = Evidence([measured(1e8, published(1e8) / 50)])
    known = evidence.about(Question(1e8), fitted_source(laws(), Question(1e8)))
    assert [s.kind for s in known.sources] == [MEASURED, FITTED, PUBLISHED_LAW]
    values = [s.expected for s in known.sources]
    assert None not in values
    assert known.disagreement == pytest.approx(max(values) / min(values))
    assert known.disagreement >= 50 * (1 - 1e-9)
    lines = evidence_lines(known.document())
    assert any(f"disagree by a factor of {known.disagreement:.3g}" in line for line in lines)


def test_own_fits_count_before_the_published_law_near_their_data_alone() -> None:
    evidence = Evidence(fits=[laws(span=(1e5, 1e6)), laws("study y", span=(1e8, 1e9))])
    near = evidence.about(Question(2e9))
    assert near.used.kind == FITTED
    assert "study y" in near.used.text
    assert near.used.outside == {"unique_tokens": pytest.approx(2.0)}
    far = evidence.about(Question(1e12))
    assert far.used.kind == PUBLISHED_LAW
    assert far.sources[-1].kind == FITTED


def test_fits_by_which_nothing_crosses_give_no_value_and_a_note() -> None:
    ar, challenger = laws()
    worse = replace(challenger, theta=ar.theta + np.eye(7)[ar.law.names.index("E")])
    question = Question(1e9)
    source = fitted_source([ar, worse], question)
    assert source.expected is None
    assert source.notes == ("by the fitted laws the crossover is not reached",)
    known = Evidence().about(question, source)
    assert known.used.kind == PUBLISHED_LAW
    assert any("no value" in line for line in evidence_lines(known.document()))


def test_fits_in_the_store_speak_for_their_unique_tokens(results: Path) -> None:
    rows = [{"objective": o, "n_params": n, "unique_tokens": 10**8, "metric": "val_loss",
             "total_tokens": d, "value": 2.0}
            for o in ("ar", "mdlm") for n in (10**7,) for d in (10**8,)]  # fmt: skip
    pl.DataFrame(rows).write_csv(results.parent / "t.csv")
    import_runs(results.parent / "t.csv", "mine", results)
    pair = laws()
    parameters = pair[0].law.parameters
    fits = [
        {
            "law": "data_constrained",
            "objective_name": p.objective,
            "params": {
                q.name: float(q.to_value(v)) for q, v in zip(parameters, p.theta[0], strict=True)
            },
            "fitted_range": {name: list(ends) for name, ends in p.fitted_range.items()},
        }
        for p in pair
    ]
    keep_fits(results, "mine", fits[:1])
    assert gather(results).fits == []  # one objective alone compares nothing
    keep_fits(results, "mine", [*fits, *({**fit, "law": "of_a_lost_plug_in"} for fit in fits)])
    (stored,) = gather(results).fits
    assert [p.objective for p in stored] == ["ar", "mdlm"]
    best = {"fitted_to": {"at": "best", "runs": ["a"]}, "held_out": {"rmse_log": 0.1}}
    last = {"fitted_to": {"at": "last", "runs": ["a"]}, "held_out": {"rmse_log": 0.2}}
    keep_fits(results, "both", [fit | last for fit in fits])
    keep_fits(results, "both", [fit | best for fit in fits])
    sources = [[p.source for p in pair] for pair in gather(results).fits]
    assert sources == [["study both"] * 2, ["study both"] * 2, ["study mine"] * 2]
    question = Question(3e7)
    known = gather(results).about(question)
    assert known.used.kind == FITTED
    assert "fitted to study both" in known.used.text
    assert known.critical == pytest.approx(fitted_source(pair, question).expected, rel=1e-6)


def test_each_number_of_a_question_is_compared_with_the_nearest_of_the_data() -> None:
    evidence = Evidence([measured(1e6, 6e12), measured(4e6, 6e13)])
    # Compared from 1e4 to 3e6 tokens of 1e6 unique ones, and from 1e5 to 3e7 of 4e6.
    known = evidence.about(Question(2e6, compute=6e14, n_params=2.5e5, epochs=15.0))
    assert known.used.data["epochs"] == pytest.approx((0.01, 7.5))
    assert known.used.outside == pytest.approx({"compute": 600 / 180, "n_params": 4, "epochs": 2})
    assert evidence.about(Question(2e6)).used.outside == {}
