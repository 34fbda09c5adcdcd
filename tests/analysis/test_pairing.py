"""What is compared with what: nothing but seeds is averaged."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import InstallPlugin
from tests.made_runs import MakeRun
from tests.plugins import objective_module
from workbench.analysis.crossover import crossovers
from workbench.analysis.curves import load_curves
from workbench.analysis.effective_data import effective_data
from workbench.analysis.pairing import distinguishing_keys, shared_groups
from workbench.cli.options import side
from workbench.errors import InputError
from workbench.store import ingest

AR = {100: 1.0, 200: 2.0}
LATER = {100: 0.5, 200: 1.4}
DIFFUSION = {100: 1.5, 200: 1.0}
MDLM = "training.objective='mdlm'"


def test_each_variant_of_a_side_is_compared_by_itself(results: Path, make_run: MakeRun) -> None:
    """Noise that one objective alone knows is no seed."""
    for seed in (0, 1):
        s = f"training.seed={seed}"
        make_run(f"plain{seed}", AR, overrides=[s])
        make_run(f"masked{seed}", LATER, overrides=[s, "training.input_mask=0.3"])
        make_run(f"mdlm{seed}", DIFFUSION, overrides=[s, MDLM])
    ingest(results)
    rows = crossovers(results, "made", "val_loss", "tokens")
    assert [row["group"]["training.input_mask"] for row in rows] == [0.3, None]
    masked, plain = (row["crossover"] / 2048 for row in rows)
    assert plain == pytest.approx(100 + 100 * 0.5 / 1.5)
    assert masked == pytest.approx(100 + 100 * 1.0 / 1.4)
    assert [row["seeds"] for row in rows] == [2, 2]
    (asked,) = crossovers(
        results, "made", "val_loss", "tokens",
        baseline={"training.objective": "ar", "training.input_mask": 0.3},
    )  # fmt: skip
    assert asked["crossover"] == rows[0]["crossover"]


def test_variants_of_both_sides_are_named_by_side(results: Path, make_run: MakeRun) -> None:
    """Under `match`, other keys may differ on either side: each combination is a pair."""
    compare = {"baseline": "ar", "challenger": "mdlm", "match": ["data.unique_tokens"]}
    for lr in (1e-3, 3e-3):
        make_run(f"ar{lr}", AR, compare=compare, overrides=[f"training.lr={lr}"])
        make_run(f"m{lr}", DIFFUSION, compare=compare, overrides=[f"training.lr={lr}", MDLM])
    ingest(results)
    groups = [row["group"] for row in crossovers(results, "made", "val_loss", "tokens")]
    named = [(group["baseline.training.lr"], group["challenger.training.lr"]) for group in groups]
    assert sorted(named) == [(1e-3, 1e-3), (1e-3, 3e-3), (3e-3, 1e-3), (3e-3, 3e-3)]


def test_numbers_of_an_objectives_plug_in_are_no_key_of_a_pair_and_make_variants(
    results: Path, make_run: MakeRun, install_plugin: InstallPlugin
) -> None:
    make_run("ar", AR, compare={"challenger": "extra"})
    for numbers, values in ((1, DIFFUSION), (2, LATER)):
        sys.modules.pop("maker_declared", None)
        install_plugin(
            "maker",
            {"objectives": {"extra": "maker_declared:DECLARED"}},
            {"maker_declared": objective_module(numbers=numbers)},
        )
        made = ["training.objective='extra'"]
        make_run(f"n{numbers}", values, compare={"challenger": "extra"}, overrides=made)
        ingest(results)
        rows = crossovers(results, "made", "val_loss", "tokens")
        assert len(rows) == numbers
    key = "plugins.objectives.extra"
    assert sorted(row["group"][key] for row in rows) == [1, 2]
    ar, old, new = {"training.objective": "ar"}, {key: 1, "x": 1}, {key: 2, "x": 1}
    assert key not in distinguishing_keys([ar, {"training.objective": "extra", **old}])
    extras = [{"training.objective": "extra", **numbers} for numbers in (old, new)]
    assert key in distinguishing_keys([ar, *extras])


def test_effective_data_does_not_take_variants_for_seeds_either(
    results: Path, make_run: MakeRun
) -> None:
    for unique in (12_800, 25_600):
        u = f"data.unique_tokens={unique}"
        make_run(f"ar{unique}", {100: 12_800 / unique}, overrides=[u])
        for weighting, value in (("elbo_t", 0.75), ("maskgit", 0.6)):
            make_run(
                f"{weighting}{unique}", {100: value * 12_800 / unique},
                overrides=[u, MDLM, f"training.loss_weighting='{weighting}'"],
            )  # fmt: skip
    ingest(results)
    rows = effective_data(results, "made", "val_loss")
    small = {
        row["group"]["training.loss_weighting"]: row["value"]
        for row in rows
        if row["group"]["unique_tokens"] == 12_800
    }
    assert small == {"elbo_t": 0.75, "maskgit": 0.6}


def test_keys_that_one_objective_has_distinguish_its_configurations() -> None:
    def keys(objective: str, **others: object) -> dict[str, object]:
        return {"training.objective": objective, **others}

    mask, schedule = "training.input_mask", "training.noise_schedule"
    plain = [keys("ar"), keys("mdlm", **{schedule: "linear"})]
    assert distinguishing_keys(plain) == [], "a single schedule distinguishes nothing"
    assert distinguishing_keys([*plain, keys("mdlm", **{schedule: "cosine"})]) == [schedule]
    assert distinguishing_keys([*plain, keys("ar", **{mask: 0.1})]) == [mask]


def test_keys_that_a_version_did_not_know_do_not_part_runs(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", AR)
    make_run("d", DIFFUSION, overrides=[MDLM])
    path = results / "runs" / "a" / "config.json"
    document = json.loads(path.read_text())
    assert document["config"]["evaluation"].pop("shots", 0) is None
    path.write_text(json.dumps(document))
    ingest(results)
    assert len(crossovers(results, "made", "val_loss", "tokens")) == 1


def test_a_side_of_zero_is_of_runs_without_and_a_list_is_of_any_of_its_values(
    results: Path, make_run: MakeRun
) -> None:
    make_run("plain", AR, overrides=["training.input_mask=0.0"])
    make_run("dropped", AR, overrides=["model.dropout=0.1"])
    make_run("masked", LATER, overrides=["training.input_mask=0.3"])
    make_run("mdlm", DIFFUSION, overrides=[MDLM])
    ingest(results)

    def runs(side: str) -> list[str]:
        groups = shared_groups(
            load_curves(results, "made", "val_loss").curves, parsed_side(side), "mdlm"
        )
        return sorted(curve.run_id for group in groups for curve in group.baseline)

    assert runs("model.dropout=0.0") == ["masked", "mdlm", "plain"]
    assert runs("model.dropout=0.0,training.objective=ar") == ["masked", "plain"]
    assert runs("model.dropout in (0, 0.1)") == ["dropped", "masked", "mdlm", "plain"]
    # Diffusion has no input mask, which is no mask of 0.
    assert runs("training.input_mask = 0 and model.dropout = none") == ["plain"]
    with pytest.raises(InputError, match=r"--baseline model\.dropout > 0: a side is KEY = VALUE"):
        runs("model.dropout > 0")


def parsed_side(text: str) -> str | dict[str, Any]:
    found = side("--baseline", text)
    assert found is not None
    return found
