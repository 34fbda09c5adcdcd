"""Any key against the value: runs as points, means with the intervals of outcomes, nothing more."""

from pathlib import Path

import pytest

from workbench.analysis.curves import load_curves
from workbench.analysis.outcomes import outcomes
from workbench.conditions import one_of
from workbench.errors import InputError
from workbench.figures import key_figure

UNIQUE = "data.unique_tokens"


def test_every_run_is_a_point_and_every_mean_is_that_of_outcomes(study: Path) -> None:
    for at in ("last", "best"):
        data = key_figure(study, "made", "val_loss", UNIQUE, at).data
        curves = {curve.run_id: curve for curve in load_curves(study, "made", "val_loss").curves}
        runs = data.filter(mark="run")
        assert sorted(runs["run_ids"]) == sorted(curves)
        for row in runs.to_dicts():
            curve = curves[row["run_ids"]]
            assert row["value"] == (curve.y[-1] if at == "last" else curve.y.min())
            assert row["key"] == curve.keys[UNIQUE]
            assert row["low"] is None
        known = {" ".join(row["runs"]): row[at] for row in outcomes(study, "made", "val_loss")}
        for row in data.filter(mark="mean").to_dicts():
            assert row["value"] == known[row["run_ids"]]["mean"]
            assert [row["low"], row["high"]] == known[row["run_ids"]]["ci95"]


def test_configurations_that_differ_in_other_keys_are_not_averaged(study: Path) -> None:
    data = key_figure(study, "made", "val_loss", "training.objective").data
    means = data.filter(mark="mean")
    assert means.height == len(outcomes(study, "made", "val_loss"))
    assert set(means["key"]) == {"ar", "mdlm"}
    own = key_figure(study, "made", "val_loss", UNIQUE, where=(one_of(UNIQUE, [6_400]),)).data
    assert set(own["key"]) == {6_400}
    coloured = key_figure(study, "made", "val_loss", "training.objective", colour=UNIQUE).data
    assert coloured["series"].n_unique() == 3


def test_a_key_that_no_run_has_is_refused_with_those_that_differ(study: Path) -> None:
    with pytest.raises(InputError, match=r"no run has the key training\.lrr"):
        key_figure(study, "made", "val_loss", "training.lrr")
    with pytest.raises(InputError, match=r"data\.unique_tokens"):
        key_figure(study, "made", "val_loss", "zzzz")
    # Without dropout is with a dropout of 0.
    assert set(key_figure(study, "made", "val_loss", "model.dropout").data["key"]) == {0.0}
