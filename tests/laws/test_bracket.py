"""Whether a planned grid is likely to contain the crossover."""

from pathlib import Path

import pytest

from tests.laws.measured import measured
from tests.made_runs import MakeRun
from workbench.laws.bracket import bracket, bracket_row
from workbench.laws.evidence import Evidence, gather
from workbench.planning.plan import plan_study
from workbench.recipe import load_recipe
from workbench.store import ingest

# At 32,000 unique tokens, five crossovers between 5e11 and 8e11 FLOPs.
NEARBY = Evidence([measured(32_000, c * 1e11) for c in (5, 6, 6.5, 7, 8)])


def planned(results: Path, *overrides: str, evidence: Evidence | None = None) -> list[dict]:
    plan = plan_study(load_recipe("quickstart", list(overrides)), results)
    return bracket(plan, evidence or gather(results))


def test_where_the_papers_curves_cross_its_budgets_are_not_called_unlikely(tmp_path: Path) -> None:
    """Figure 1 of arXiv:2511.03276: at 0.5B, 1B and 1.5B unique tokens diffusion gets ahead; at 10B
    and 96B not within the 96B tokens that were trained on."""
    plan = plan_study(load_recipe("paper/figure-01-unique-tokens"), tmp_path)
    rows = bracket(plan, gather(tmp_path))
    verdicts = {row["unique_tokens"]: row["verdict"] for row in rows}
    assert verdicts[500_000_000] == "likely"
    assert verdicts[1_000_000_000] != "unlikely"
    assert verdicts[1_500_000_000] != "unlikely"
    assert verdicts[96_000_000_000] == "unlikely"
    kinds = [row["evidence"]["used"] for row in rows]
    assert kinds == ["measured crossovers"] * 4 + ["the published law"]


def test_a_range_in_epochs_is_that_in_flops(tmp_path: Path) -> None:
    row = planned(tmp_path)[0]
    epochs = 6 * row["n_params"] * row["unique_tokens"]
    low, high = row["expected_range"]
    assert row["expected_epochs_range"] == pytest.approx([low / epochs, high / epochs])
    assert low < row["expected_flops"] < high


def test_without_any_evidence_nothing_is_unlikely(tmp_path: Path) -> None:
    rows = bracket(plan_study(load_recipe("quickstart"), tmp_path), Evidence())
    assert {row["verdict"] for row in rows} == {"uncertain"}
    assert rows[0]["expected_epochs_range"] == [None, None]
    assert rows[0]["needed_tokens"] is None
    assert bracket_row(rows[0])["to make it likely"] == ""


def test_where_nothing_was_measured_near_the_published_law_is_used(tmp_path: Path) -> None:
    rows = planned(tmp_path, evidence=Evidence([measured(1e9, 1e20)]))
    assert [row["unique_tokens"] for row in rows] == [12_800, 32_000]
    for row in rows:
        critical = 2.12 * 10**1.956 * row["unique_tokens"] ** 2.174
        assert row["expected_flops"] == pytest.approx(critical)
        assert "2507.15857" in row["source"]
    assert rows[0]["expected_flops"] < rows[1]["expected_flops"]


def test_more_tokens_make_the_crossover_likelier(tmp_path: Path) -> None:
    verdicts = [
        planned(tmp_path, f"training.total_tokens={tokens}", evidence=NEARBY)[1]["verdict"]
        for tokens in (40_960, 614_400, 1_638_400)
    ]
    assert verdicts == ["unlikely", "uncertain", "likely"]


def test_what_is_needed_makes_the_verdict_likely(tmp_path: Path) -> None:
    row = planned(tmp_path, "training.total_tokens=614400", evidence=NEARBY)[1]
    tokens = round(row["needed_tokens"]) + 1
    longer = planned(tmp_path, f"training.total_tokens={tokens}", evidence=NEARBY)[1]
    assert longer["verdict"] == "likely"
    # From one place, the transport of the range to fewer tokens is by the mean exponent, 2.174.
    fewer = row["needed_unique_tokens"]
    assert fewer == pytest.approx(32_000 * (614_400 / row["needed_tokens"]) ** (1 / 2.174))
    shorter = planned(tmp_path, "training.total_tokens=4096", evidence=NEARBY)[1]
    assert shorter["needed_unique_tokens"] is None  # more than ten times fewer


def test_a_plan_of_one_objective_has_nothing_to_bracket(tmp_path: Path) -> None:
    assert planned(tmp_path, "sweep.training.objective=['ar']") == []


def test_known_crossovers_replace_the_published_law(results: Path, make_run: MakeRun) -> None:
    for unique, at in ((6_400, 40), (12_800, 90), (32_000, 210)):
        u = f"data.unique_tokens={unique}"
        points = range(1, 400, 10)
        make_run(f"a{unique}", dict.fromkeys(points, 3.0), overrides=[u])
        falling = {s: 3.0 + (at - s) / 400 for s in points}
        make_run(f"d{unique}", falling, overrides=[u, "training.objective='mdlm'"])
    ingest(results)
    row = planned(results)[1]
    assert row["evidence"]["used"] == "measured crossovers"
    assert "3 pairs of curves of made" in row["source"]
    assert row["expected_tokens"] == pytest.approx(210 * 2048, rel=0.15)
    assert row["verdict"] in ("likely", "uncertain")
