"""Each objective trains, evaluates, stops and resumes through the worker, and is stored."""

from pathlib import Path

import pytest

from tests.running.test_worker import make_run, values
from tests.training.stopping import records, whole_and_resumed
from workbench.analysis.curves import load_curves
from workbench.running import worker
from workbench.runs.folder import RunFolder
from workbench.runs.items import items_of, read_items
from workbench.store import ingest, query
from workbench.store.read_records import read_records

pytestmark = pytest.mark.training

KINDS: dict[str, tuple[list[str], str, str]] = {
    "masked ar": (
        ["objective=ar", "input_mask=0.3", "mask_aux_weight=0.5", "noise_samples=2"],
        "nll+0.5*nll/input_mask=0.3/samples=2",
        "nll",
    ),
    "mdlm, draws": (["objective=mdlm", "noise_samples=3"], "elbo_t/samples=3", "nelbo"),
    "block": (["objective=block", "block_size=8"], "elbo_t", "nelbo"),
    "blocks of one": (["objective=block", "block_size=1"], "elbo_t", "nll"),
    "uniform": (["objective=uniform"], "elbo_t", "nelbo"),
    "hybrid": (
        ["objective=hybrid", "uniform_noise=0.1", "noise_samples=2"],
        "elbo_t/samples=2",
        "nelbo",
    ),
    "any order": (["objective=aoar"], "nelbo/orders", "nelbo/orders"),
}


def make(tmp_path: Path, corpus: Path, kind: str, *further_keys: str) -> RunFolder:
    keys = [f"training.{key}" for key in KINDS[kind][0]]
    return make_run(tmp_path, corpus, *keys, "training.checkpoint_every=4", *further_keys)


def check_items(run: RunFolder) -> None:
    """The items of every step give back what is recorded of it."""
    frame = read_records(run.records_path).frame
    for metric in ("val_loss", "cloze_acc", "cloze_nll_true"):
        found = read_items(run.items_dir, [metric]).partition_by("step", as_dict=True)
        recorded = {row["step"]: row for row in frame.filter(metric=metric).to_dicts()}
        assert {step for (step,) in found} == set(recorded) == {1, 4, 8, 12}
        for (step,), rows in found.items():
            items, row = items_of(rows), recorded[step]
            assert (len(rows), set(rows["draws"])) == (row["n"], {row["draws"]})
            assert items.value == pytest.approx(row["value"], rel=1e-5)
            assert items.stderr == pytest.approx(row["stderr"], rel=1e-3)
            assert items.documents == row["documents"]
            if row["noise_stderr"] is not None:
                assert items.noise_stderr == pytest.approx(row["noise_stderr"], rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_resumes_bit_for_bit_and_is_stored_with_its_estimator(
    kind: str, tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"training.{key}" for key in KINDS[kind][0]]
    whole, stopped = whole_and_resumed(tmp_path, corpus, monkeypatch, *keys)
    assert records(stopped) == records(whole)
    every = ["val_loss", "cloze_acc", "cloze_nll_true", "cloze_nll_other"]
    assert read_items(stopped.items_dir, every).equals(read_items(whole.items_dir, every))
    check_items(whole)
    ingest(tmp_path / "whole")
    (curve,) = load_curves(tmp_path / "whole", "tiny", "val_loss").curves
    assert curve.steps.tolist() == [1, 4, 8, 12], "one row a step, whatever its draws"

    _, train, validation = KINDS[kind]
    rows = query(
        tmp_path / "whole",
        "SELECT metric, estimator, draws, value FROM metrics WHERE step = 12",
    )
    stored = {row[0]: row[1:] for row in rows.iter_rows()}
    assert stored["train_loss"][0] == train
    exact = validation == "nll"
    on_the_way = query(
        tmp_path / "whole", "SELECT draws FROM metrics WHERE step = 8 AND metric = 'val_loss'"
    ).item()
    assert on_the_way == (None if exact else 2)
    assert stored["val_loss"][:2] == (validation, None if exact else 8)
    assert stored["cloze_acc"][:2] == (validation, None if exact else 4)
    assert 0 < stored["val_loss"][2] < 5.6


@pytest.mark.parametrize("kind", ["masked ar", "block", "any order"])
def test_micro_batches_add_up_to_the_batch(kind: str, tmp_path: Path, corpus: Path) -> None:
    whole = make(tmp_path, corpus, kind)
    parts = make(tmp_path, corpus, kind, "training.micro_batch_size=4")
    for run in (whole, parts):
        assert worker.main(run.path) == worker.FINISHED
    expected, added_up = values(whole, "train_loss"), values(parts, "train_loss")
    assert expected.keys() == added_up.keys()
    assert max(abs(expected[step] - added_up[step]) for step in expected) < 1e-4


def test_bfloat16_takes_an_objectives_mask(tmp_path: Path, corpus: Path) -> None:
    exact = make(tmp_path, corpus, "block")
    rough = make(tmp_path, corpus, "block", "training.dtype=bfloat16")
    for run in (exact, rough):
        assert worker.main(run.path) == worker.FINISHED
    float32, bfloat16 = values(exact, "val_loss"), values(rough, "val_loss")
    assert float32[12] != bfloat16[12]
    assert abs(float32[12] - bfloat16[12]) < 0.05
