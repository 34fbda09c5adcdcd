"""A law against compute: what was fitted, what was not, and where the data end."""

import numpy as np
import polars as pl
import pytest

from tests.laws.fitting.conftest import law, made_table
from workbench.errors import InputError
from workbench.figures import law_compute_figure
from workbench.figures.law_against_compute import FITTED, HELD_OUT, LAW
from workbench.laws.backtest import splits
from workbench.laws.fitting.options import FitOptions
from workbench.laws.held_out_fit import HeldOutFit, hold_out
from workbench.laws.prediction import predictions

OPTIONS = FitOptions(resamples=20, starts=4, diagnostics=False)


@pytest.fixture(scope="module")
def fits() -> list[HeldOutFit]:
    table = made_table("chinchilla", noise=0.01, sizes=4)
    (split,) = splits(table, ["compute"])
    return hold_out(law("chinchilla"), table, split, OPTIONS)


def test_every_run_is_fitted_or_held_out_with_its_error(fits: list[HeldOutFit]) -> None:
    table = made_table("chinchilla", noise=0.01, sizes=4)
    data = law_compute_figure(fits).data
    fitted, held = data.filter(part=FITTED), data.filter(part=HELD_OUT)
    assert fitted.height + held.height == len(table)
    assert sorted([*fitted["loss"], *held["loss"]]) == sorted(table.loss.tolist())
    assert fitted["compute"].max() < held["compute"].min()  # type: ignore[operator]
    columns = [held[name].to_numpy() for name in ("n_params", "total_tokens", "unique_tokens")]
    said = [row["loss"] for row in predictions(fits[0].fit, *columns)]
    assert held["predicted"].to_list() == said
    assert held["error_log"].to_numpy() == pytest.approx(np.log(said / held["loss"].to_numpy()))
    rms = float(np.sqrt((held["error_log"] ** 2).mean()))  # type: ignore[arg-type]
    assert fits[0].rmse_log == pytest.approx(rms)


def test_the_law_is_marked_where_it_lies_outside_of_what_was_fitted(
    fits: list[HeldOutFit],
) -> None:
    data = law_compute_figure(fits, reach=3).data
    lines, most = data.filter(part=LAW), max(data.filter(part=FITTED)["compute"].to_list())
    beyond = lines.filter(pl.col("compute") > most * 1.001)
    assert beyond.height
    assert beyond["outside"].all()
    assert not lines["outside"].all()
    known = max(data.filter(pl.col("part") != LAW)["compute"].to_list())
    assert lines["compute"].max() == pytest.approx(3 * known)
    assert (lines["low"] < lines["predicted"]).all()
    assert (lines["predicted"] < lines["high"]).all()


def test_without_held_out_runs_the_same_figure_shows_the_fit_alone() -> None:
    table = made_table("chinchilla", noise=0.01, sizes=4)
    whole = hold_out(law("chinchilla"), table, None, OPTIONS)
    data = law_compute_figure(whole).data
    assert data.filter(part=FITTED).height == len(table)
    assert HELD_OUT not in data["part"].to_list()
    assert whole[0].rmse_log is None
    with pytest.raises(InputError, match="1 or more"):
        law_compute_figure(whole, reach=0.5)
