"""`benchmarks/interval_coverage.py`: what is called a 95 % interval covers 92 to 98 %."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
QUANTITIES = ("crossover", "difference", "level", "best", "best_difference", "effective_data")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import interval_coverage

    return interval_coverage


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_most_intervals_hold_the_truth(program: ModuleType, quantity: str) -> None:
    found = program.answers(quantity, program.Case(slow=False, correlation=0.6, seeds=5), 40)
    assert program.coverage(found) >= 0.85
    assert all(one.low <= one.estimate <= one.high for one in found)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("correlation", [0.0, 0.6])
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_intervals_over_seeds_and_documents_hold_the_truth(
    program: ModuleType, quantity: str, slow: bool, correlation: float, seeds: int
) -> None:
    found = program.answers(quantity, program.Case(slow, correlation, seeds), 800)
    # Within 92 to 98 %, give or take two standard errors of the count.
    assert 0.904 <= program.coverage(found) <= 0.99


@pytest.mark.long
@pytest.mark.parametrize("quantity", ["difference", "level", "best", "effective_data"])
def test_one_seeds_intervals_hold_that_seeds_truth(program: ModuleType, quantity: str) -> None:
    case = program.Case(slow=True, correlation=0.6, seeds=1, own=True)
    assert 0.904 <= program.coverage(program.answers(quantity, case, 800)) <= 0.99


@pytest.mark.long
@pytest.mark.parametrize("points", [17, 33])
def test_the_bands_crossover_is_not_late_where_that_of_points_is(
    program: ModuleType, points: int
) -> None:
    case = program.Case(slow=True, correlation=0.0, seeds=5, points=points)
    late = {}
    for quantity in ("crossover", "point_crossover"):
        found = program.answers(quantity, case, 200)
        late[quantity] = float(np.median([one.estimate - one.truth for one in found]))
    assert abs(late["crossover"]) < 0.12
    assert late["point_crossover"] > 0.3
