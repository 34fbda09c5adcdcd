"""Averages of weights: what they are, what is measured with them, and that a resume keeps them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import RECIPE
from tests.running.test_worker import values
from tests.training.stopping import records, whole_and_resumed
from workbench.errors import InputError
from workbench.evaluation.evaluate import Loading, evaluate_runs
from workbench.evaluation.opened import EvalOptions
from workbench.planning.memory import memory_per_gpu
from workbench.recipe import RunConfig, load_recipe
from workbench.runs.folder import RunFolder
from workbench.training.export_model import export_model, load_exported
from workbench.training.trained_model import load_run_model
from workbench.training.trainer import StudyTrainer

STEP = 16 * 32
TAU = 4 * STEP
KEYS = (
    f"training.ema={TAU}",
    "training.average=stable",
    "training.warmup_steps=2",
    "training.decay_fraction=0.25",
    "training.checkpoint_points=2",
)
FIRST, LAST, STEPS = 3, 9, 12  # of the stable phase, and of all


def config(tmp_path: Path, *keys: str) -> RunConfig:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(corpus="x.txt"))
    return load_recipe(path, ["training.objective=ar", *keys]).runs[0]


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The weights after each step of whatever is trained, in float64."""
    weights: list[dict[str, torch.Tensor]] = []
    step = StudyTrainer._optimise

    def keep(self: StudyTrainer, batches: Any) -> None:
        step(self, batches)
        named = self.model_parts[0].named_parameters()
        weights.append({name: one.detach().double() for name, one in named})

    monkeypatch.setattr(StudyTrainer, "_optimise", keep)
    return weights


def weighted(passed: list[dict[str, torch.Tensor]], weight: list[float]) -> dict[str, torch.Tensor]:
    total = sum(weight)
    return {
        name: sum(w / total * one[name] for w, one in zip(weight, passed, strict=True))  # type: ignore[misc]
        for name in passed[0]
    }


@pytest.mark.training
def test_averages_are_of_the_steps_that_count_are_measured_and_survive_a_stop(
    tmp_path: Path,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    passed: list[dict[str, torch.Tensor]],
) -> None:
    whole, stopped = whole_and_resumed(tmp_path, corpus, monkeypatch, *KEYS)
    assert records(stopped) == records(whole)
    expected = {
        "ema": weighted(
            passed[:STEPS], [math.exp(-STEP * (STEPS - s) / TAU) for s in range(1, 13)]
        ),
        "stable": weighted(passed[:STEPS], [float(FIRST <= s <= LAST) for s in range(1, 13)]),
    }
    for run in (whole, stopped):
        for name, weights in expected.items():
            model = load_run_model(run, weights=name).model
            for key, value in model.named_parameters():
                torch.testing.assert_close(value.double(), weights[key], rtol=0, atol=1e-6)
    check_metrics(whole)
    check_commands(tmp_path / "whole", whole, tmp_path / "exported")


def check_metrics(run: RunFolder) -> None:
    raw = values(run, "val_loss")
    assert set(values(run, "val_loss@ema")) == set(raw) == {1, 4, 8, 12}
    assert values(run, "val_loss@ema")[1] == raw[1], "after one step it is that step's weights"
    assert values(run, "val_loss@ema")[12] != raw[12]
    assert set(values(run, "cloze_acc@stable")) == {4, 8, 12}, "none before there is one"
    assert not values(run, "cloze_chance_unigram@ema"), "what no model is asked"
    assert len(set(raw.values())) == 4


def check_commands(results: Path, run: RunFolder, out: Path) -> None:
    """Evaluations and exports of an average give what was measured while it trained."""
    options = EvalOptions(tasks=("val_loss",), draws=8, draws_given=True)
    rows = evaluate_runs(results, [run.run_id], options, Loading(weights="ema", dtype="float32"))
    found = {row["metric"]: row["value"] for row in rows}
    assert found["val_loss@ema"] == pytest.approx(values(run, "val_loss@ema")[12], abs=1e-5)
    assert "val_loss" not in found
    assert load_run_model(run, step=6, weights="ema").step == 6, "checkpoint_points have them too"
    export_model(run, out, dtype="float32", weights="stable")
    assert json.loads((out / "config.json").read_text())["workbench"]["weights"] == "stable"
    exported, loaded = load_exported(out), load_run_model(run, weights="stable").model
    for key, value in loaded.named_parameters():
        assert torch.equal(dict(exported.named_parameters())[key], value)


def test_a_run_without_averages_says_that_it_has_none(trained: dict[str, RunFolder]) -> None:
    with pytest.raises(
        InputError, match=r"--weights ema: run \w+ was trained without training.ema"
    ):
        load_run_model(trained["ar"], weights="ema")
    with pytest.raises(InputError, match="--weights mean"):
        load_run_model(trained["ar"], weights="mean")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["training.average=stable", "training.decay_fraction=1.0"], "there is no stable phase"),
        (["training.average=stable", "training.warmup_steps=11"], "ends at step 11"),
        (
            ["training.ema=100", 'data.validation_extra=[{name="ema", path="x", tokens=512}]'],
            "Give the set another name",
        ),
        (["training.ema=0.999"], "training.ema"),
    ],
)
def test_averages_of_nothing_are_refused(keys: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        config(tmp_path, *keys)


def test_each_average_costs_the_memory_of_the_parameters(tmp_path: Path) -> None:
    known = "model.vocab_size=264"
    plain, both = config(tmp_path, known), config(tmp_path, known, *KEYS[:2])
    parameters = memory_per_gpu(plain).parameters
    assert memory_per_gpu(both).held - memory_per_gpu(plain).held == 2 * parameters
    evaluated = [memory_per_gpu(one).evaluation.held for one in (plain, both)]
    assert evaluated[1] - evaluated[0] == 2 * parameters
