"""Plans: identities, costs, and what waits for the data."""

import json
import time
from pathlib import Path

import pytest

from tests.conftest import Workbench
from tests.made_runs import MakeRun
from workbench.data.describe import with_text_columns
from workbench.data.preparation import prepare
from workbench.errors import InputError
from workbench.planning.plan import calibration_path, estimate_time, plan_study, run_id_of
from workbench.recipe import load_recipe
from workbench.runs.started_as import StartedAs, note_started_as
from workbench.store import ingest


def test_a_plan_without_data_defers_what_needs_it(recipe: Path, tmp_path: Path) -> None:
    plan = plan_study(load_recipe(recipe), tmp_path)
    assert [run.run_id for run in plan.runs] == [None, None]
    assert len(plan.deferred) == 1
    assert plan.runs[0].n_params == plan.runs[1].n_params
    assert plan.total_tokens == 2 * 6_144
    assert plan.total_train_flops > 0
    assert not list(tmp_path.glob("runs"))


def test_run_ids_depend_on_the_numbers_and_on_nothing_else(recipe: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe)
    prepare(loaded.runs[0].data, tmp_path)
    ids = [run.run_id for run in plan_study(loaded, tmp_path).runs]
    assert len(set(ids)) == 2
    again = load_recipe(recipe, ["study.name=another", "study.question=Why?"])
    assert [run.run_id for run in plan_study(again, tmp_path).runs] == ids
    other = load_recipe(recipe, ["training.seed=1"])
    assert not set(ids) & {run.run_id for run in plan_study(other, tmp_path).runs}


def test_the_quickstart_is_the_study_it_has_always_been() -> None:
    """Keys that came later, absent by default, leave the identity of old runs as it was."""
    plan = plan_study(load_recipe("quickstart"), Path("/nonexistent"))
    assert [run_id_of(run.config, "fingerprint") for run in plan.runs] == [
        "f384d0a85fb1", "075c1833de2d", "e3ce7bb39246", "7e5a82b72bef",
    ]  # fmt: skip


def test_rows_tell_memory_and_of_mixtures_what_is_active(recipe: Path, tmp_path: Path) -> None:
    dense = plan_study(load_recipe(recipe), tmp_path).runs[0].row()
    assert dense["memory_per_gpu_bytes"] > 16 * dense["n_params"]
    assert "n_params_active" not in dense
    mixture = plan_study(load_recipe(recipe, ["model.moe_experts=4"]), tmp_path).runs[0].row()
    assert mixture["n_params_active"] < mixture["n_params"]


def test_more_unique_tokens_than_text_is_refused_once_it_is_known(
    recipe: Path, tmp_path: Path
) -> None:
    prepare(load_recipe(recipe).runs[0].data, tmp_path)
    with pytest.raises(InputError, match=r"data\.unique_tokens = 999936"):
        plan_study(load_recipe(recipe, ["data.unique_tokens=999_936"]), tmp_path)


def test_a_missing_tokenizer_can_be_planned_with_its_vocabulary(
    recipe: Path, tmp_path: Path
) -> None:
    missing = ["data.tokenizer=gpt2.json"]
    with pytest.raises(InputError, match=r"data\.tokenizer"):
        plan_study(load_recipe(recipe, missing), tmp_path)
    plan = plan_study(load_recipe(recipe, [*missing, "model.vocab_size=50258"]), tmp_path)
    assert plan.runs[0].config.model.vocab_size == 50_304


def test_tensor_parallel_must_divide_the_vocabulary(recipe: Path, tmp_path: Path) -> None:
    keys = ["parallelism.tensor=7", "model.heads=14", "model.width=448", "model.ffn=448"]
    keys += ["data.seq_len=28", "data.unique_tokens=2044"]
    with pytest.raises(InputError, match="does not divide the vocabulary of 264"):
        plan_study(load_recipe(recipe, keys), tmp_path)


def test_time_is_estimated_from_what_was_measured_and_else_not_at_all(
    recipe: Path, tmp_path: Path
) -> None:
    plan = plan_study(load_recipe(recipe), tmp_path)
    assert estimate_time(plan, tmp_path, jobs=2) is None
    calibration_path(tmp_path).write_text(json.dumps({"flops_per_second": 1e9}))
    two, one = (estimate_time(plan, tmp_path, jobs=jobs) for jobs in (2, 1))
    assert two is not None
    assert one is not None
    assert one.seconds == pytest.approx(plan.total_train_flops / 1e9)
    assert two.seconds == pytest.approx(one.seconds / 2)
    assert one.source == "the calibration"


def test_time_is_estimated_from_runs_that_were_compiled_as_these_will_be(
    results: Path, make_run: MakeRun
) -> None:
    def trained(run_id: str, speed: float, *overrides: str, compiled: bool | None = None) -> None:
        speeds = {10: speed, 20: speed}
        run = make_run(run_id, speeds, metric="tokens_per_second", overrides=list(overrides))
        if compiled is not None:
            note_started_as(run, StartedAs("cpu", "float32", compiled))

    def seconds(*overrides: str) -> float:
        plan = plan_study(
            load_recipe("quickstart", ["training.objective='ar'", *overrides]), results
        )
        estimate = estimate_time(plan, results, jobs=1)
        assert estimate is not None
        return estimate.seconds * 1000 / plan.total_tokens

    trained("demanded", 4_000, "training.compile=true")
    trained("chosen", 4_000, compiled=True)
    ingest(results)
    assert seconds() == pytest.approx(1 / 4), "where no eager run is known, such as on a GPU"
    trained("before", 1_000, "training.compile=false")
    trained("eager", 1_000, compiled=False)
    ingest(results)
    assert seconds() == seconds("training.compile=false") == pytest.approx(1)
    assert seconds("training.compile=true") == pytest.approx(1 / 4)
    assert seconds("training.total_tokens=200_000_000") == pytest.approx(1 / 4, rel=1e-4)


def test_a_thousand_runs_plan_in_two_seconds(tmp_path: Path, corpus: Path) -> None:
    from tests.conftest import RECIPE

    path = tmp_path / "large.toml"
    seeds = ", ".join(map(str, range(500)))
    path.write_text(RECIPE.format(corpus=corpus) + f'"training.seed" = [{seeds}]\n')
    began = time.perf_counter()
    plan = plan_study(load_recipe(path), tmp_path)
    assert len(plan.runs) == 1000
    assert time.perf_counter() - began < 2


def test_the_json_holds_the_keys_of_the_contract(recipe: Path, workbench: Workbench) -> None:
    done = workbench("plan", recipe, "--format", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {"study", "runs", "total_tokens", "total_train_flops"} <= set(document)
    assert set(document["runs"][0]) >= {
        "run_id", "objective", "n_params", "n_params_non_embedding", "unique_tokens",
        "total_tokens", "epochs", "steps", "train_flops",
    }  # fmt: skip


def test_the_coders_epochs_are_those_of_the_paper(tmp_path: Path) -> None:
    """Section 4: 1.4T tokens of 9B unique ones, and then 100B of the 1B kept for annealing."""
    for run in plan_study(load_recipe("paper/figure-07-coder"), tmp_path).runs:
        row = run.row()
        assert row["epochs"] == pytest.approx(1.4e12 / 9e9, rel=1e-5)
        assert row["anneal"]["epochs"] == pytest.approx(100, rel=1e-5)
        assert row["anneal"]["tokens"] + row["epochs"] * 9e9 == pytest.approx(1.5e12, rel=1e-5)
        (shown,) = with_text_columns([row])
        assert shown["anneal"].endswith(", 100 epochs")
