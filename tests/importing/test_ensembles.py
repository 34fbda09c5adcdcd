"""Ensembles as runs of their own: what makes one, where it is, how it is compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_runs import MakeRun
from workbench.analysis.curves import load_curves
from workbench.analysis.difference import differences
from workbench.analysis.effects import effects
from workbench.errors import InputError
from workbench.importing.ensembles import EnsembleRun, ensemble_run
from workbench.laws.fitting.study_table import study_table
from workbench.laws.measured_crossovers import measured_crossovers
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


def record(
    results: Path, members: list[RunFolder], value: float, study: str | None = None
) -> EnsembleRun:
    run = ensemble_run(results, study, members)
    assert run.record({STEP: [number(value)]}) == []
    return run


def recorded(results: Path, members: dict[int, list[RunFolder]]) -> list[EnsembleRun]:
    ingest(results)
    return [record(results, own, 2.8 + 0.1 * text) for text, own in members.items()]


def test_an_ensemble_is_compared_by_text_with_every_run_of_its_members_studies(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    made = recorded(results, members)
    assert {one.study for one in made} == {"made-ensembles"}
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
        "seed": 0, "data_seed": 0, "protocol": PROTOCOL, "n_params": 181_440, "members": "3",
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
    again = record(results, members[0][::-1], 2.7)
    assert again.run_id == first.run_id
    values = query(results, f"SELECT value FROM metrics WHERE run_id = '{first.run_id}'")
    assert values["value"].to_list() == [pytest.approx(2.7)]
    two = record(results, members[0][:2], 2.7)
    assert two.run_id != first.run_id


def refused(results: Path, members: list[RunFolder], study: str | None, message: str) -> None:
    """Before anything is measured or written."""
    before = {path: path.read_bytes() for path in results.rglob("*.json")}
    with pytest.raises(InputError, match=message):
        ensemble_run(results, study, members)
    assert {path: path.read_bytes() for path in results.rglob("*.json")} == before


def test_a_study_of_trained_runs_takes_no_ensembles(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    refused(results, members[0], "made", "--study made: is a study of other runs")
    refused(results, members[0], "no name", "--study no name: expected at most 100 letters")


def test_a_named_study_takes_several_ensembles_and_changes_where_no_others_go(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    ingest(results)
    for text in (0, 1, 0):
        assert record(results, members[text], 2.8, "mine").study == "mine"
    assert record(results, members[2], 2.8).study == "made-ensembles"


def test_a_trained_study_may_end_as_those_of_ensembles_do(results: Path, make_run: MakeRun) -> None:
    runs = [
        make_run(f"a{seed}", {STEP: 3.0}, overrides=[f"training.seed={seed}"], study="my-ensembles")
        for seed in (0, 1)
    ]
    ingest(results)
    made = record(results, runs, 2.8)
    assert made.study == "my-ensembles-ensembles"
    assert len(made.document["run_ids"]) == 3


def test_ensembles_that_share_members_are_refused(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    ingest(results)
    record(results, members[0][:2], 2.8)
    refused(
        results,
        members[0][1:],
        "made-ensembles",
        f"run {members[0][1].run_id} is in ensemble .* of 2",
    )
    assert record(results, members[0], 2.8).study == "made-ensembles", "of another size"


def test_ensembles_are_beside_several_seeds_of_each_text_in_pairs_of_texts(
    results: Path, members: dict[int, list[RunFolder]], make_run: MakeRun
) -> None:
    for text in range(3):
        make_run(
            f"e{text}", {STEP: 2.94 + 0.11 * text}, items=OFFSETS.tolist(),
            overrides=[f"data.seed={text}", f"training.seed={30 + text}", MDLM],
        )  # fmt: skip
    recorded(results, members)
    baseline = {"training.objective": "ar", "labels.ensemble_of": 3}
    (row,) = differences(
        results, "made-ensembles", "val_loss", baseline=baseline, challenger="mdlm"
    )
    gaps = np.array([2.92 - 2.8, 3.03 - 2.9, 3.14 - 3.0])
    assert row["difference"] == pytest.approx(gaps.mean())
    half = 4.302653 * gaps.std(ddof=1) / np.sqrt(3)
    assert row["ci95"] == pytest.approx([gaps.mean() - half, gaps.mean() + half], abs=1e-6)


def test_a_configuration_is_not_compared_with_itself(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    recorded(results, members)
    rows = differences(
        results, "made-ensembles", "val_loss", baseline={"labels.ensemble_of": 3}, challenger="ar"
    )
    assert len(rows) == 1
    made = json.loads((results / "studies/made-ensembles.json").read_text())["ensembles"]
    assert sorted(rows[0]["runs"]["baseline"]) == sorted(made)
    assert not set(rows[0]["runs"]["challenger"]) & set(made)


def test_the_number_of_members_is_a_factor_of_which_single_runs_have_one(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    recorded(results, members)
    rows = {row["factor"]: row for row in effects(results, "made-ensembles", "val_loss")}
    of_size = rows["labels.ensemble_of"]
    assert (of_size["reference"], of_size["level"]) == (1, 3)
    assert of_size["effect"] == pytest.approx(-0.2)
    steps = members[0][0].config_json()["derived"]["steps"]
    assert of_size["flops_ratio"] == pytest.approx(3e12 / steps / 1e9), "of those of one"
    assert rows["training.objective"]["seeds"] == 3
    ids = {run_id for row in rows.values() if row is not of_size for run_id in row["runs"]}
    assert not ids & set(
        json.loads((results / "studies/made-ensembles.json").read_text())["ensembles"]
    )


def test_no_law_and_no_advice_takes_an_ensemble_for_a_model_of_its_members_size(
    results: Path, members: dict[int, list[RunFolder]]
) -> None:
    before = len(measured_crossovers(results)) if ingest(results) else 0
    made = {one.run_id for one in recorded(results, members)}
    table = study_table(results, "made-ensembles")
    assert not made & set(table.columns["run_id"].tolist())
    assert "without 3 ensembles, which are no models of that size" in table.notes
    assert len(measured_crossovers(results)) == before
