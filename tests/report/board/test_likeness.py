"""Two numbers are side by side where everything that decides what they mean agrees."""

from dataclasses import replace
from typing import Any

import pytest

from workbench.report.board.likeness import (
    Number,
    differences_text,
    differing,
    nearest,
    side_by_side,
    terms_of,
)
from workbench.report.board.runs import Run

RUN = Run(
    run_id="a", objective="ar", keys={"training.lr": 0.003, "training.objective": "ar"}, seed=0,
    data_seed=0, n_params=10, unique_tokens=100, total_tokens=1000, state="finished", protocol=2,
    fingerprint="f" * 64, versions={},
)  # fmt: skip
OTHER = replace(RUN, keys={"training.lr": 0.003, "training.objective": "mdlm",
                           "training.noise_schedule": "linear"})  # fmt: skip


def number(export: str = "alice", run: Run = RUN, metric: str = "val_loss", **asked: Any) -> Number:
    terms = terms_of({"metric": metric, **asked}, {"": [run]})
    return Number(export, "s", "best", (metric,), terms, {}, {"": (run.run_id,)}, 1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"protocol": 1}, "protocol 1 / 2"),
        ({"fingerprint": "e" * 64}, f"prepared tokens {'e' * 24} / {'f' * 24}"),
        ({"fingerprint": None}, f"prepared tokens not known, of runs a / {'f' * 24}"),
        ({"keys": RUN.keys | {"training.lr": 0.001}}, "training.lr 0.001 / 0.003"),
        ({"keys": RUN.keys | {"model.dropout": 0.1}}, "model.dropout 0.1 / none"),
    ],
)
def test_what_differs_keeps_numbers_from_each_other_and_is_named(
    change: dict[str, Any], named: str
) -> None:
    one, two = number("bob", replace(RUN, **change)), number()
    assert side_by_side([one, two]) == [[one], [two]]
    assert differences_text(one, two, differing(one, two)) == named


@pytest.mark.parametrize(
    "change", [{"seed": 7, "data_seed": 7, "run_id": "b"}, {"versions": {"torch": "3"}}]
)
def test_seeds_and_versions_do_not(change: dict[str, Any]) -> None:
    one, two = number(), number("bob", replace(RUN, **change))
    assert side_by_side([one, two]) == [[one, two]]


def test_what_is_asked_of_a_model_beside_its_loss_is_no_key_of_the_loss() -> None:
    asked = replace(RUN, keys=RUN.keys | {"evaluation.cloze_questions": 2000})
    assert differing(number(run=asked), number()) == []
    accuracies = number(run=asked, metric="cloze_acc"), number(metric="cloze_acc")
    assert differing(*accuracies) == ["evaluation.cloze_questions"]


def test_sides_have_the_keys_in_which_they_differ_as_their_own() -> None:
    terms = terms_of({"metric": "val_loss"}, {"baseline": [RUN], "challenger": [OTHER]})
    assert terms["training.lr"] == 0.003
    assert terms["baseline.training.objective"] == "ar"
    assert terms["challenger.training.noise_schedule"] == "linear"


def test_keys_that_follow_from_another_objective_are_not_named() -> None:
    assert differing(number(run=OTHER), number()) == ["training.objective"]


def test_the_nearest_is_of_another_export_and_differs_least() -> None:
    far = replace(RUN, keys=RUN.keys | {"training.lr": 0.001, "model.width": 8})
    near = replace(RUN, keys=RUN.keys | {"training.lr": 0.002})
    numbers = [number("bob", far), number("bob", near), number("alice", replace(RUN, seed=1))]
    assert nearest(number(), numbers) == (numbers[1], ["training.lr"])
    assert nearest(number("bob"), numbers[:2]) is None
