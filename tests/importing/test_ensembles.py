"""Ensembles as runs of their own: what makes one, where it is, how it is compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_runs import MakeRun
from workbench.analysis.curves import load_curves
from workbench.analysis.difference import differences
from workbench.errors import InputError
from workbench.importing.ensembles import RecordedEnsemble, record_ensemble
from workbench.metrics import PROTOCOL
from workbench.runs.evaluations import Evaluated
from workbench.runs.folder import RunFolder
from workbench.runs.items import Items
from workbench.store import ingest, query

MDLM = "training.objective='mdlm'"
STEP = 400
OFFSETS = np.array([-0.2, 0.0, 0.1, 0.1])


def items(value: float) -> Items:
    totals = 64 * (value + OFFSETS)
    return Items(np.arange(4), totals, np.full(4, 64.0), np.ones(4))


def number(value: float, metric: str = "val_loss") -> Evaluated:
    return Evaluated(
        metric, value, 0.1, 4, "nll", "val_loss", None, 0, {}, documents=4, items=items(value)
    )


@pytest.fixture
def members(make_run: MakeRun) -> dict[int, list[RunFolder]]:
    """Three AR runs on each of three texts, and a run of masked diffusion beside each first one."""
    found = {}
    for text in range(3):
        found[text] = [
            make_run(
                f"a{text}-{seed}", {STEP: 3.0 + 0.1 * text + 0.01 * place},
                overrides=[f"data.seed={text}", f"training.seed={seed}"], items=OFFSETS.tolist(),
                study="made" if place == 0 else "members",
            )
            for place, seed in enumerate((text, 10 + text, 20 + text))
        ]  # fmt: skip
        make_run(
            f"d{text}", {STEP: 2.9 + 0.11 * text}, items=OFFSETS.tolist(),
            overrides=[f"data.seed={text}", f"training.seed={text}", MDLM],
        )  # fmt: skip
    return found


def recorded(
    results: Path, members: dict[int, list[RunFolder]], **options: Any
) -> list[RecordedEnsemble]:
    ingest(results)
    return [
        record_ensemble(results, options.get("study"), own, {STEP: [number(2.8 + 0.1 * text)]})
        for text, own in members.items()
    ]


def test_an_ensemble_is_compared_by_text_with_every_run_of_its_members_studies(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    made = recorded(results, members)
    assert {one.study for one in made} == {"made-ensembles"}
    assert not any(one.notes for one in made)
    ensembles: dict[str, Any] = {"labels.ensemble_of": 3}
    (row,) = differences(
        results, "made-ensembles", "val_loss", baseline=ensembles, challenger="mdlm"
    )
    gaps = np.array([2.9 - 2.8, 3.01 - 2.9, 3.12 - 3.0])
    assert row["difference"] == pytest.approx(gaps.mean())
    assert row["ci95_method"].startswith("t interval over 3 seeds and 4 documents (crossed)")
    half = 4.302653 * gaps.std(ddof=1) / np.sqrt(3)
    assert row["ci95"] == pytest.approx([gaps.mean() - half, gaps.mean() + half], abs=1e-6)
    assert row["ahead"] == "baseline"
    assert row["runs"]["baseline"] == sorted(
        (one.run_id for one in made), key=row["runs"]["baseline"].index
    )


def test_its_row_has_the_members_configuration_and_all_of_their_flops(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    first, *_ = recorded(results, members)
    row = query(
        results,
        f"""SELECT seed, data_seed, protocol, n_params, total_tokens, train_flops, imported, state,
               config->>'$.labels.ensemble_of' AS members,
               provenance->'$.source.members' AS names, m.tokens, m.flops, m.step
            FROM runs JOIN metrics m USING (run_id) WHERE run_id = '{first.run_id}'""",
    ).row(0, named=True)
    single = members[0][0].config_json()
    assert json.loads(row.pop("names")) == sorted(run.run_id for run in members[0])
    assert row == {
        "seed": None, "data_seed": 0, "protocol": PROTOCOL, "n_params": 181_440, "members": "3",
        "imported": True,
        "total_tokens": single["config"]["training"]["total_tokens"], "train_flops": 3e12,
        "state": "finished", "tokens": STEP * 2048, "step": STEP,
        "flops": pytest.approx(3e12 / single["derived"]["steps"] * STEP),
    }  # fmt: skip
    curve = next(
        curve
        for curve in load_curves(results, first.study, "val_loss").curves
        if curve.run_id == first.run_id
    )
    assert not curve.imported, "it was measured here"
    assert curve.finished


def test_the_studies_of_the_members_stay_as_they_are(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    before = {path.name: path.read_text() for path in (results / "studies").glob("*.json")}
    first, *_ = recorded(results, members)
    after = {path.name: path.read_text() for path in (results / "studies").glob("*.json")}
    assert {name: text for name, text in after.items() if name in before} == before
    document = json.loads(after[f"{first.study}.json"])
    assert len(document["run_ids"]) == len(set(document["run_ids"])) == 9 + 3 + 3
    assert document["compare"] == json.loads(before["made.json"])["compare"]


def test_measured_again_it_is_the_same_run_in_whatever_order_its_members_are_named(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    first, *_ = recorded(results, members)
    again = record_ensemble(results, None, members[0][::-1], {STEP: [number(2.7)]})
    assert again.run_id == first.run_id
    values = query(results, f"SELECT value FROM metrics WHERE run_id = '{first.run_id}'")
    assert values["value"].to_list() == [pytest.approx(2.7)]
    two = record_ensemble(results, None, members[0][:2], {STEP: [number(2.7)]})
    assert two.run_id != first.run_id


def test_a_study_of_trained_runs_takes_no_ensembles(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    before = {path: path.read_bytes() for path in results.rglob("*.json")}
    with pytest.raises(InputError, match="--study made: is a study of trained runs"):
        record_ensemble(results, "made", members[0], {STEP: [number(2.8)]})
    assert {path: path.read_bytes() for path in results.rglob("*.json")} == before
