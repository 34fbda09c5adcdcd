"""Laws of the best value, and whether it transfers: fitted to optima whose law is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from workbench.analysis.best_values import Finding
from workbench.analysis.crossed import seeds_mean
from workbench.analysis.optimum import find_optimum
from workbench.errors import InputError
from workbench.laws.best_value_law import best_value_laws

STEP = np.log(2.0)
RATES = 1e-3 * 2.0 ** np.arange(7)
SIZES = (1e5, 2e5, 4e5, 8e5)


def best(
    n_params: float,
    at: float,
    *,
    tokens: float = 1e7,
    objective: str = "ar",
    seeds: int = 3,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
    group: Mapping[str, Any] | None = None,
) -> Finding:
    """The answer of a group whose loss is a parabola in log rate around `at`."""
    x = np.log(RATES)
    values = 2.0 + 0.05 * (x - np.log(at)) ** 2 / STEP**2
    table = np.tile(values, (seeds, 1))
    if rng is not None:
        table = table + rng.normal(0, 0.1, (seeds, 1)) + rng.normal(0, noise, table.shape)
    mean = seeds_mean(table)
    found = find_optimum(x, mean, "seeds")
    row = {
        "study": "made", "metric": "val_loss", "at": "last", "key": "training.lr",
        "objective": objective,
        "group": {"unique_tokens": tokens, "n_params": n_params, **(group or {})},
        "best": float(RATES[found.best]), "bound": found.bound, "ci95": None, "ties": [],
        "optimum": None if found.vertex is None else float(np.exp(found.vertex)),
        "lower_bound": None, "upper_bound": None, "seeds": seeds,
        "values": [
            {"value": float(rate), "cost": float(value - mean.value.min()), "cost_ci95": None}
            for rate, value in zip(RATES, mean.value, strict=True)
        ],
    }  # fmt: skip
    keys = {"n_params": n_params, "training.total_tokens": tokens}
    return Finding(row, keys, found)


def law(n: float, d: float = 1e7, power: float = -0.5) -> float:
    return float(8e-3 * (n / 2e5) ** power * (d / 1e7) ** 0.3)


def only(found: list[Finding], predict: tuple[Mapping[str, float], ...] = ()) -> dict[str, Any]:
    (row,) = best_value_laws(found, predict)
    return row


def test_a_power_law_in_parameters_is_exact() -> None:
    row = only([best(n, law(n)) for n in SIZES], ({"n_params": 8e6}, {"n_params": 3e5}))
    assert (row["status"], row["against"], row["n_optima"]) == ("fitted", ["n_params"], 4)
    assert row["exponents"]["n_params"] == pytest.approx(-0.5)
    assert row["scale"] == pytest.approx(law(1.0))
    assert row["scatter"] == pytest.approx(0, abs=1e-9)
    beyond, inside = row["predictions"]
    assert beyond["best"] == pytest.approx(law(8e6))
    assert inside["best"] == pytest.approx(law(3e5))
    assert beyond["outside"] == {"n_params": "10 times above the largest fitted"}
    assert inside["outside"] == {}


def test_a_power_law_in_parameters_and_tokens_is_exact() -> None:
    """Unique tokens follow the tokens of runs of one epoch, and make no groups of their own."""
    found = [best(n, law(n, d), tokens=d) for n in SIZES[:3] for d in (1e7, 3e7)]
    row = only(found, ({"n_params": 4e5, "total_tokens": 1e7},))
    assert row["exponents"] == pytest.approx({"n_params": -0.5, "total_tokens": 0.3})
    assert row["predictions"][0]["best"] == pytest.approx(law(4e5))
    assert [one["total_tokens"] for one in row["transfer"]] == [1e7, 3e7]


def test_the_interval_of_the_exponent_covers_it() -> None:
    rng = np.random.default_rng(11)
    covered = []
    for _ in range(60):
        rows = [best(n, law(n), seeds=5, noise=0.02, rng=rng) for n in SIZES]
        low, high = only(rows)["ci95"]["n_params"]
        covered.append(low <= -0.5 <= high)
    assert np.mean(covered) > 0.85


def test_scatter_that_the_optima_do_not_explain_widens_the_interval() -> None:
    rng = np.random.default_rng(2)
    along = only([best(n, law(n), noise=0.002, rng=rng) for n in SIZES])
    off = (1.5, 0.7, 1.4, 0.7)
    astray = only(
        [best(n, f * law(n), noise=0.002, rng=rng) for n, f in zip(SIZES, off, strict=True)]
    )
    widths = [np.ptp(row["ci95"]["n_params"]) for row in (along, astray)]
    assert widths[1] > 5 * widths[0]


def test_without_several_seeds_the_interval_is_from_the_scatter() -> None:
    off = (1.05, 0.95, 1.03, 0.97)
    row = only([best(n, f * law(n), seeds=1) for n, f in zip(SIZES, off, strict=True)])
    low, high = row["ci95"]["n_params"]
    assert low < -0.5 < high
    assert row["ci95_method"].startswith("t interval from the scatter")
    assert row["transfer"][0]["ci95"] is None
    assert row["transfer"][0]["verdict"] == "undecided"


def test_optima_at_an_edge_are_not_fitted_and_can_leave_too_few() -> None:
    at_edge = best(1.6e6, 1e-4)
    row = only([*(best(n, law(n)) for n in SIZES), at_edge])
    assert (row["n_optima"], row["n_bounds"]) == (4, 1)
    assert row["exponents"]["n_params"] == pytest.approx(-0.5)
    few = only([best(1e5, law(1e5)), best(2e5, law(2e5)), at_edge], ({"n_params": 1e9},))
    assert (few["status"], few["predictions"], few["exponents"]) == ("refused", [], None)
    assert few["reason"] == (
        "a power law in n_params needs 3 optima inside their grids, here are 2: at n_params = "
        "1.6M the best is the least value tried. Extend those grids."
    )


def test_sizes_that_change_together_have_no_exponents_of_their_own() -> None:
    row = only([best(n, law(n), tokens=20 * n) for n in SIZES])
    assert row["status"] == "refused"
    assert "n_params and total_tokens of the optima change together" in row["reason"]


def test_objectives_and_other_keys_have_laws_of_their_own() -> None:
    found = [
        best(n, law(n, power=power), objective=objective, group={"model.parametrization": name})
        for objective in ("ar", "mdlm")
        for name, power in (("mup", 0.0), ("standard", -0.5))
        for n in SIZES
    ]
    rows = best_value_laws(found)
    named = [(row["objective"], row["group"]["model.parametrization"]) for row in rows]
    assert named == [(o, p) for o in ("ar", "mdlm") for p in ("mup", "standard")]
    assert [row["transfer"][0]["verdict"] for row in rows] == ["stays", "moves"] * 2


@pytest.mark.parametrize(
    ("large", "noise", "verdict"),
    [
        (8e-3, 0.005, "stays"),
        (5e-3, 0.005, "stays"),
        (3e-3, 0.005, "moves"),
        (4e-3, 0.02, "undecided"),  # one step exactly
        (8e-3, 0.3, "undecided"),
    ],
)
def test_a_best_rate_transfers_where_it_surely_stays_within_a_step(
    large: float, noise: float, verdict: str
) -> None:
    rng = np.random.default_rng(4)
    found = [best(1e5, 8e-3, noise=noise, rng=rng), best(4e5, large, noise=noise, rng=rng)]
    (one,) = only(found)["transfer"]
    assert one["verdict"] == verdict
    assert one["grid_step"] == pytest.approx(2)
    if noise < 0.01:
        assert one["steps"] == pytest.approx(np.log2(large / 8e-3), abs=0.4)
        assert one["ci95"][0] < one["steps"] < one["ci95"][1]
        at_old = {v["value"]: v["cost"] for v in found[1].row["values"]}[found[0].row["best"]]
        assert one["cost"] == at_old


def test_at_an_edge_the_steps_are_a_bound() -> None:
    """The lowest rate of all is the best of the large model: it may lie right below the second."""
    (near,) = only([best(1e5, 2.1e-3), best(4e5, 1e-4)])["transfer"]
    (far,) = only([best(1e5, 8e-3), best(4e5, 1e-4)])["transfer"]
    assert (near["verdict"], near["steps"], near["ci95"][0]) == ("undecided", None, None)
    assert (far["verdict"], far["steps"], far["ci95"][0]) == ("moves", None, None)
    assert far["ci95"][1] == pytest.approx(-2)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        ({"n_param": 1e9}, "--predict n_param, did you mean 'n_params'?"),
        ({"total_tokens": 1e9}, "the law is in n_params: give n_params=... too"),
        ({"n_params": 0.0}, "--predict n_params=0.0: expected a number above 0"),
        ({"n_params": float("nan")}, "expected a number above 0"),
    ],
)
def test_sizes_that_a_law_cannot_predict_for_are_refused(
    predict: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError) as refused:
        best_value_laws([best(n, law(n)) for n in SIZES], [predict])
    assert message in str(refused.value)


def test_one_size_has_no_law() -> None:
    with pytest.raises(InputError, match="needs runs of several n_params or total_tokens"):
        best_value_laws([best(1e5, 4e-3), best(1e5, 4e-3, objective="mdlm")])
