"""A map over size and unique tokens: measured cells alone, bounds as bounds, nothing averaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.analysis.crossover import crossovers
from workbench.analysis.difference import differences
from workbench.errors import InputError
from workbench.figures import Figure, Paper, for_paper, map_figure
from workbench.figures.panel_width import fitted


def compared(n_params: int, unique: int, **keys: Any) -> dict[str, Any]:
    """A pair that crosses at ten times its unique tokens, of 50 epochs."""
    return {
        "study": "made",
        "group": {"unique_tokens": unique, "n_params": n_params, **keys},
        "metric": "val_loss", "axis": "tokens", "baseline": "ar", "challenger": "mdlm",
        "status": "crossed", "crossover": 10.0 * unique, "first_x": 1.0, "last_x": 50.0 * unique,
        "lower_bound": None, "upper_bound": None, "ci95": [9.0 * unique, 11.0 * unique],
        "runs": {"baseline": ["a"], "challenger": ["d"]},
        "run_seeds": {"baseline": [0], "challenger": [0]},
    }  # fmt: skip


def different(difference: float, ci95: list[float] | None, ahead: str | None) -> dict[str, Any]:
    row = compared(1000, 10)
    return {**row, "at": "last", "difference": difference, "ci95": ci95, "ahead": ahead}


def marks(figure: Figure, **properties: Any) -> list[dict[str, Any]]:
    """The layers of all panels whose mark has these properties."""
    found = [layer for panel in figure.to_dict()["concat"] for layer in panel["layer"]]
    return [one for one in found if properties.items() <= one["mark"].items()]


def test_a_cell_is_what_was_measured_and_all_others_are_empty() -> None:
    rows = [compared(n, u) for n, u in ((1000, 10), (1000, 20), (2000, 10))]
    figure = map_figure(rows)
    assert figure.data.select("n_params", "unique_tokens", "value", "low", "high").rows() == [
        (1000, 10, 100.0, 90.0, 110.0), (1000, 20, 200.0, 180.0, 220.0),
        (2000, 10, 100.0, 90.0, 110.0),
    ]  # fmt: skip
    assert set(figure.data["run_ids"]) == {"a d"}
    spec = figure.to_dict()
    assert all(len(cells) == 3 for cells in spec["datasets"].values())
    assert not marks(figure, type="area")


def test_a_bound_is_an_empty_cell_with_its_sign(study: Path) -> None:
    rows = crossovers(study, "made", "val_loss", "tokens", intervals=False)
    figure = map_figure(rows)
    by_unique = {row["unique_tokens"]: row for row in figure.data.to_dicts()}
    late = next(row for row in rows if row["status"] == "not_reached")
    cell = by_unique[late["group"]["unique_tokens"]]
    assert not cell["filled"]
    assert cell["value"] == late["lower_bound"]
    assert cell["text"].startswith("> ")
    for row in rows:
        if row["status"] == "crossed":
            assert by_unique[row["group"]["unique_tokens"]]["value"] == row["crossover"]
    (dashed,) = marks(figure, type="rect", fillOpacity=0)
    assert dashed["mark"]["strokeDash"]
    assert "color" not in dashed["encoding"]


@pytest.mark.parametrize("show", ["difference", "winner"])
def test_a_difference_is_filled_only_where_its_interval_excludes_zero(show: Any) -> None:
    for difference, ci95, ahead in (
        (-0.5, [-0.6, -0.4], "challenger"), (0.5, [0.4, 0.6], "baseline"), (0.1, [-0.1, 0.3], None),
        (0.1, None, None),
    ):  # fmt: skip
        (cell,) = map_figure([different(difference, ci95, ahead)], show).data.to_dicts()
        assert cell["filled"] == (ahead is not None)
        assert cell["value"] == difference
        assert cell["who"] == {"challenger": "masked diffusion", "baseline": "AR"}.get(str(ahead))
    assert cell["below"] == "no interval"


def test_values_that_share_a_cell_get_panels_or_are_refused() -> None:
    one = [compared(1000, 10, **{"training.lr": lr}) for lr in (0.1, 0.2)]
    figure = map_figure(one)
    assert [panel["title"] for panel in figure.to_dict()["concat"]] == ["lr 0.1", "lr 0.2"]
    two = [
        compared(1000, 10, **{"training.lr": lr, "model.dropout": p})
        for lr in (0.1, 0.2)
        for p in (0.0, 0.1)
    ]
    with pytest.raises(InputError, match=r"training\.lr and model\.dropout .*not averaged"):
        map_figure(two)
    with pytest.raises(InputError, match=r"differ in model\.dropout and are not averaged"):
        map_figure(two, facet="training.lr")
    # Width follows size: it divides no cell.
    sized = [compared(n, 10, **{"model.width": n // 10}) for n in (1000, 2000)]
    assert len(map_figure(sized).to_dict()["concat"]) == 1


def test_epochs_are_a_facet_where_they_are_known() -> None:
    rows = [compared(1000, 10), {**compared(1000, 20), "last_x": 400.0}]
    figure = map_figure(rows, facet="epochs")
    titles = [panel["title"] for panel in figure.to_dict()["concat"]]
    assert titles == ["up to 20 epochs", "up to 50 epochs"]
    with pytest.raises(InputError, match="facet epochs"):
        map_figure([{**row, "axis": "flops"} for row in rows], facet="epochs")
    with pytest.raises(InputError, match=r"Facets: epochs\."):
        map_figure(rows, facet="training.lr")


def test_words_stand_in_cells_that_have_room_for_them() -> None:
    wide = map_figure([compared(1000, 10), compared(1000, 20)])
    narrow = map_figure([compared(1000, 1234 * k) for k in range(1, 31)])
    for figure, words in ((wide, 2), (narrow, 0)):
        layers = fitted(figure.to_dict(), 390)["concat"][0]["layer"]
        assert sum(layer["mark"]["type"] == "text" for layer in layers) == words
    printed = json.dumps(for_paper(wide, Paper.of("column")).to_dict())
    assert '"type": "text"' in printed


def test_only_the_runs_that_meet_conditions_are_compared(study: Path) -> None:
    from workbench.conditions import one_of

    where = (one_of("data.unique_tokens", [6_400]),)
    for rows in (
        crossovers(study, "made", "val_loss", "tokens", intervals=False, where=where),
        differences(study, "made", "val_loss", where=where),
    ):
        assert [row["group"]["unique_tokens"] for row in rows] == [6_400]
