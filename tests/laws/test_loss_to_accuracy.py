"""The second step, from loss to accuracy: its sigmoid, its floor at chance, where it is read."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.made_runs import MakeRun
from workbench.errors import InputError
from workbench.laws.fitting.accuracy_table import accuracy_table
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.tournament import tournament
from workbench.laws.law import Floats, Rows
from workbench.laws.loss_to_accuracy import LOSS_TO_ACCURACY, SIGMOID
from workbench.laws.registry import LAWS
from workbench.laws.request import get_table
from workbench.store import ingest

TRUTH = {"floor": 0.25, "gain": 0.55, "slope": 2.5, "midpoint": 3.1}
QUICK = FitOptions(starts=16, resamples=100, diagnostics=False)


def of_loss(loss: Floats) -> Floats:
    return 0.25 + 0.55 / (1 + np.exp(2.5 * (loss - 3.1)))


def made(noise: float = 0.0, seed: int = 0, **columns: list[object]) -> LossTable:
    rng = np.random.default_rng(seed)
    d = np.geomspace(1e6, 1e9, 60)
    loss = np.linspace(5.0, 1.8, 60)
    accuracy = of_loss(loss) * np.exp(rng.normal(0, noise, 60))
    own = {"accuracy": list(accuracy), **columns}
    return LossTable(
        source="made", name=np.array([f"run {i}" for i in range(60)]), n_params=np.full(60, 1e6),
        total_tokens=d, unique_tokens=None, loss=loss, compute=6e6 * d,
        columns={name: np.array(values, dtype=object) for name, values in own.items()},
    )  # fmt: skip


def test_it_is_its_formula_from_chance_to_the_ceiling() -> None:
    loss = np.array([0.1, 2.0, 3.1, 4.0, 40.0])
    predicted = SIGMOID.predict(TRUTH, Rows(np.log(loss), np.zeros(5), np.zeros(5)))
    assert predicted == pytest.approx(of_loss(loss), rel=1e-12)
    assert predicted[2] == pytest.approx(0.25 + 0.55 / 2)
    assert predicted[-1] == pytest.approx(0.25)


def test_parameters_come_back_and_intervals_hold_them() -> None:
    (fit,) = fit_law(LOSS_TO_ACCURACY, made(), replace(QUICK, resamples=0))
    assert fit.params == pytest.approx(TRUTH, rel=1e-4)
    (fit,) = fit_law(LOSS_TO_ACCURACY, made(noise=0.02), QUICK)
    for name, value in TRUTH.items():
        low, high = fit.ci95[name] or (None, None)
        assert low is not None
        assert high is not None
        width = high - low
        assert low - width / 2 < value < high + width / 2, name
    assert fit.fitted_range["loss"] == (1.8, 5.0)
    assert fit.fitted_range["n_params"] == (1e6, 1e6)
    assert fit.checks == ()


def test_intervals_are_over_clusters_as_others_are() -> None:
    rows = made(noise=0.02)
    copies = rows.take(np.tile(np.arange(60), 3))
    own = replace(QUICK, cluster="name")
    narrow, wide = (fit_law(LOSS_TO_ACCURACY, copies, options)[0] for options in (QUICK, own))
    assert wide.ci_method is not None
    assert "60 clusters (name)" in wide.ci_method
    ends = [fit.ci95["slope"] or (None, None) for fit in (narrow, wide)]
    assert ends[1][1] - ends[1][0] > 1.4 * (ends[0][1] - ends[0][0])


def test_the_floor_is_the_measured_chance_level() -> None:
    (fit,) = fit_law(LOSS_TO_ACCURACY, made(chance=[0.24, 0.26] * 30), QUICK)
    assert fit.params["floor"] == pytest.approx(0.25)
    assert fit.fixed == ("floor",)
    assert any("measured chance level, 0.25 on average over 0.24 to 0.26" in n for n in fit.notes)
    (fit,) = fit_law(LOSS_TO_ACCURACY, made(chance=[None] * 60), QUICK)
    assert fit.fixed == ()
    assert any("chance level was not measured" in note for note in fit.notes)
    given = replace(QUICK, fixed={"floor": 0.2})
    (fit,) = fit_law(LOSS_TO_ACCURACY, made(chance=[0.25] * 60), given)
    assert fit.params["floor"] == pytest.approx(0.2)


def test_what_is_no_fraction_is_refused_and_nothing_right_is_left_out() -> None:
    with pytest.raises(InputError, match="made: an accuracy of 61: they are fractions"):
        fit_law(LOSS_TO_ACCURACY, made(accuracy=[61.0] * 60), QUICK)
    some = made()
    some.columns["accuracy"][:3] = 0.0
    (fit,) = fit_law(LOSS_TO_ACCURACY, some, QUICK)
    assert fit.n == 57
    assert any("3 rows without an accuracy above 0 are left out" in note for note in fit.notes)
    with pytest.raises(InputError, match="column accuracy: could not convert"):
        fit_law(LOSS_TO_ACCURACY, made(accuracy=["many"] * 60), QUICK)


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    """Runs whose cloze accuracy is measured at every second of their points."""
    for unique in (12_800, 32_000):
        losses = {step: 5.0 - step / 10 - unique / 1e5 for step in range(2, 32, 2)}
        name = f"r{unique}"
        run = make_run(name, losses, overrides=[f"data.unique_tokens={unique}"])
        with open(run.records_path, "a") as records:
            for line in run.records_path.read_text().splitlines():
                record = json.loads(line)
                if record["step"] % 4 == 0:
                    value = float(of_loss(np.array(record["value"])))
                    more = {"metric": "cloze_acc", "value": value, "estimator": "likelihood"}
                    records.write(json.dumps({**record, **more}) + "\n")
            chance = {"metric": "cloze_chance_unigram", "value": 0.25, "estimator": "counts"}
            records.write(json.dumps({**json.loads(line), "step": 2, **chance}) + "\n")
    ingest(results)
    return results


def test_a_study_gives_the_points_that_have_both(study: Path) -> None:
    table = accuracy_table(study, "made", "cloze_acc", "curve")
    assert len(table) == 14
    assert list(table.columns["accuracy"]) == pytest.approx(list(of_loss(table.loss)))
    assert set(table.columns["chance"]) == {0.25}
    last = accuracy_table(study, "made", "cloze_acc")
    assert last.run_ids == ("r12800", "r32000")
    assert set(last.total_tokens) == {28 * 2048}  # the last point, at step 30, has the loss alone
    asked = get_table(None, "made", study, "cloze_acc", "curve", {}, "loss_to_accuracy")
    (fit,) = fit_law(LAWS["loss_to_accuracy"], asked, replace(QUICK, resamples=50))
    assert fit.params == pytest.approx(TRUTH, rel=1e-3)
    assert fit.ci_method is not None
    assert "2 clusters (run)" in fit.ci_method


def test_what_it_cannot_read_is_refused_with_what_it_can(study: Path) -> None:
    with pytest.raises(InputError, match="--metric val_loss: loss_to_accuracy predicts an accur"):
        accuracy_table(study, "made", "val_loss")
    with pytest.raises(InputError, match="--at best: the best accuracy of a run is chosen by its"):
        accuracy_table(study, "made", "cloze_acc", "best")
    with pytest.raises(InputError, match="made has no hellaswag_acc"):
        accuracy_table(study, "made", "hellaswag_acc")
    losses = get_table(None, "made", study, "val_loss", "curve", {}, "chinchilla")
    with pytest.raises(InputError, match="--law loss_to_accuracy --metric, such as cloze_acc"):
        fit_law(LOSS_TO_ACCURACY, losses, QUICK)
    with pytest.raises(InputError, match="loss_to_accuracy: study made: loss_to_accuracy reads"):
        tournament({"loss_to_accuracy": LOSS_TO_ACCURACY}, losses, QUICK)
    with pytest.raises(InputError, match="--metric cloze_acc: scaling laws describe losses"):
        get_table(None, "made", study, "cloze_acc", "final", {}, "chinchilla")


def test_a_file_gives_them_as_a_column_of_the_metrics_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    loss = np.linspace(5.0, 1.8, 30)
    rows = [f"1e6,{1e6 * (i + 1)},{x},{of_loss(x)}" for i, x in enumerate(loss)]
    path.write_text("\n".join(["n_params,total_tokens,loss,mmlu_acc", *rows]))
    table = get_table(path, None, tmp_path, "mmlu_acc", "final", {}, "loss_to_accuracy")
    (fit,) = fit_law(LOSS_TO_ACCURACY, table, replace(QUICK, resamples=0))
    assert fit.params == pytest.approx(TRUTH, rel=1e-3)
