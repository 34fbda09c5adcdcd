"""The figure of what each change does."""

from typing import Any

import pytest

from workbench.errors import InputError
from workbench.figures.effects import BETTER, UNDECIDED, UNKNOWN, WORSE, effects_figure

ROW: dict[str, Any] = {
    "study": "made", "metric": "val_loss", "at": "best", "kind": "main",
    "factor": "model.dropout", "reference": 0, "level": 0.1, "moves_with": [], "pairs": 2,
    "seeds": 3, "effect": -0.2, "ci95": [-0.3, -0.1], "ci95_method": "t interval over 3 seeds",
    "lowest": -0.25, "highest": -0.15, "flops_ratio": 1.0, "runs": ["a", "b"], "run_seeds": [0, 1],
    "estimators": {"baseline": "nll", "challenger": "nelbo"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "ci95", "verdict"),
    [
        ("val_loss", [-0.3, -0.1], BETTER),
        ("val_loss", [0.1, 0.3], WORSE),
        ("cloze_acc", [0.1, 0.3], BETTER),
        ("cloze_acc", [-0.3, -0.1], WORSE),
        ("val_loss", [-0.3, 0.1], UNDECIDED),
        ("val_loss", None, UNKNOWN),
    ],
)
def test_a_change_is_called_better_by_its_interval_and_the_metrics_direction(
    metric: str, ci95: list[float] | None, verdict: str
) -> None:
    effect = 0.0 if ci95 is None else sum(ci95) / 2
    drawn = effects_figure([ROW | {"metric": metric, "ci95": ci95, "effect": effect}])
    assert drawn.data["verdict"].to_list() == [verdict]
    shown = " ".join(drawn.to_dict()["title"]["subtitle"])
    assert ("95 % t interval over 3 seeds" in shown) == (ci95 is not None)
    assert ("upper bounds (NELBO)" in shown) == (metric == "val_loss")


def test_changes_are_named_with_what_they_cost_and_never_alike() -> None:
    twice = {"factor": "model.loops", "level": 2, "flops_ratio": 1.98}
    drawn = effects_figure([ROW, ROW | twice, ROW | twice | {"moves_with": ["training.lr"]}, ROW])
    assert drawn.data["change"].to_list() == [
        "dropout 0.1 (1)", "loops 2, 1.98 times the FLOPs",
        "loops 2 (with lr), 1.98 times the FLOPs", "dropout 0.1 (2)",
    ]  # fmt: skip
    assert drawn.data["run_ids"].to_list() == ["a b"] * 4


def test_more_changes_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(InputError, match="41 effects are more than the 40"):
        effects_figure([ROW] * 41)
