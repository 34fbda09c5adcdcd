"""What follows from comparing losses of which some are upper bounds."""

from typing import Any

import pytest

from workbench.analysis.bounds import bound_note


def row(baseline: str | None, challenger: str, metric: str = "val_loss") -> dict[str, Any]:
    return {
        "metric": metric, "baseline": "ar", "challenger": "mdlm",
        "estimators": {"baseline": baseline, "challenger": challenger},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("baseline", "challenger", "crossover", "value"),
    [
        ("nll", "nelbo", "no later than this one", "masked diffusion is at least as good"),
        ("nelbo", "nll", "no earlier than this one", "AR is at least as good"),
        ("nelbo", "nelbo", "does not follow", "does not follow"),
        ("nll", "nll", None, None),
        (None, "nelbo", None, None),
    ],
)
def test_what_follows_from_bounds_depends_on_which_sides_have_them(
    baseline: str | None, challenger: str, crossover: str | None, value: str | None
) -> None:
    rows = [row(baseline, challenger)]
    for note, words in ((bound_note(rows), crossover), (bound_note(rows, "value"), value)):
        assert (note is None) if words is None else (words in str(note))


def test_accuracies_are_compared_as_they_are() -> None:
    assert bound_note([row("nll", "nelbo", "cloze_acc")]) is None


def test_each_combination_of_bounds_has_its_own_sentence() -> None:
    note = str(bound_note([row("nll", "nelbo"), row("nelbo", "nelbo"), row("nll", "nll")]))
    assert "no later" in note
    assert "both sides' values" in note


def test_sides_are_named_as_the_rows_name_them() -> None:
    of_order = row("nll", "nelbo") | {"challenger": "aoar"}
    assert str(bound_note([of_order])).startswith("any-order AR's values come from NELBOs")
    assert str(bound_note([of_order, row("nll", "nelbo")])).startswith("the challenger's values")
    by_keys = row("nll", "nelbo") | {"challenger": {"training.optimizer": ["adamw", "muon"]}}
    assert str(bound_note([by_keys])).startswith("the challenger's values")
    unnamed = {key: value for key, value in row("nll", "nelbo").items() if key != "challenger"}
    assert str(bound_note([unnamed], "value")).startswith("the change's values")
