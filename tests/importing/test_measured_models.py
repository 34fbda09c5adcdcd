"""Checkpoints of other software as imported runs: what makes one of them, and how they pair."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.importing.conftest import WriteTable
from workbench.analysis.curves import load_curves
from workbench.analysis.pairing import compared_pairs
from workbench.importing.importer import import_runs
from workbench.importing.measured_models import Checkpoint, record_checkpoint
from workbench.runs.evaluations import Evaluated

CHECKPOINT = Checkpoint(
    name="hf:a",
    revision=None,
    digests={"config.json": "1", "model.safetensors": "2"},
    reading={"tokenizer": "t", "bos_first": True, "bos_id": 1, "eod_id": 1, "mask_id": 9},
    objective="mdlm",
    n_params=1000,
    data={"seq_len": 32},
    fingerprint=None,
)


def measured(results: Path, checkpoint: Checkpoint) -> str:
    number = Evaluated("val_loss", 3.0, 0.1, 10, "nll", "val_loss", None, 0, {})
    return record_checkpoint(results, None, checkpoint, [number])[0]


def of_name(name: str, objective: str) -> Checkpoint:
    reading = {k: v for k, v in CHECKPOINT.reading.items() if k != "mask_id" or objective != "ar"}
    return replace(
        CHECKPOINT, name=name, objective=objective, digests={"model.safetensors": name},
        reading=reading, trained_tokens=4000, unique_tokens=1000,
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"digests": CHECKPOINT.digests | {"modeling.py": "3"}},
        {"digests": CHECKPOINT.digests | {"config.json": "3"}},
        *({"reading": CHECKPOINT.reading | {key: "3"}} for key in CHECKPOINT.reading),
        {"objective": "ar"},
        {"data": {"seq_len": 64}},
        {"fingerprint": "3"},
    ],
    ids=str,
)
def test_whatever_its_numbers_depend_on_makes_another_run(
    results: Path, change: dict[str, Any]
) -> None:
    first = measured(results, CHECKPOINT)
    assert measured(results, replace(CHECKPOINT, name="hf:b", trained_tokens=7)) == first
    assert measured(results, replace(CHECKPOINT, **change)) != first


def test_every_model_pairs_with_those_of_the_other_objective_however_many_there_are(
    results: Path, table: WriteTable
) -> None:
    order = ["ar", "mdlm", "ar", "ar", "mdlm"]
    for number, objective in enumerate(order, 1):
        measured(results, of_name(f"hf:model-{number}", objective))
        seen = order[:number]
        if number > 1:
            _, pairs = compared_pairs(load_curves(results, "models", "val_loss"))
            assert len(pairs) == seen.count("ar") * seen.count("mdlm")
    # Another MASK makes another configuration, and no second seed of the same.
    other = of_name("hf:model-2", "mdlm")
    measured(results, replace(other, reading=other.reading | {"mask_id": 8}))
    _, pairs = compared_pairs(load_curves(results, "models", "val_loss"))
    assert (len(pairs), {len(pair.challenger) for pair in pairs}) == (9, {1})
    # Curves of a table that come to them change nothing of that.
    header = "objective,n_params,unique_tokens,metric,total_tokens,value,model"
    rows = [f"ar,70000,2000,val_loss,{tokens},3.0,x" for tokens in (9_000, 18_000)]
    import_runs(table(*rows, header=header), "models", results)
    match = json.loads((results / "studies" / "models.json").read_text())["compare"]["match"]
    _, pairs = compared_pairs(load_curves(results, "models", "val_loss"))
    assert "model.mask_id" not in match
    assert len(pairs) == 9
