"""What a study costs on GPUs: arithmetic that can be checked by hand, and what is not known."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.made_runs import MakeRun
from workbench.cli import app
from workbench.errors import InputError
from workbench.planning.gpus import (
    ASSUMED_MFU,
    GPUS,
    gpu_costs,
    gpu_table_row,
    measured_mfu,
    spread,
)
from workbench.planning.plan import plan_study
from workbench.recipe import load_recipe
from workbench.runs.files import write_json
from workbench.runs.folder import RunFolder
from workbench.store import ingest

H100 = GPUS["h100"]
PAPER = "recipes/paper/figure-01-unique-tokens.toml"
LARGE = ("model.size=8B", "parallelism.shard=16")


def test_a_step_takes_its_flops_over_what_the_gpus_deliver(tmp_path: Path) -> None:
    plan = plan_study(load_recipe(PAPER, []), tmp_path)
    for run, row in zip(plan.runs, gpu_costs(plan, tmp_path, H100, 32, 0.4), strict=True):
        step = run.train_flops / run.steps / (32 * 989.4e12 * 0.4)
        assert row["step_seconds"] == pytest.approx(step)
        assert row["gpu_hours"] == pytest.approx(run.steps * step * 32 / 3600)
        assert row["mfu_from"] == "given"


def test_recomputing_activations_costs_a_third_more_and_lets_the_largest_fit(
    tmp_path: Path,
) -> None:
    def largest(*overrides: str) -> dict:
        plan = plan_study(load_recipe(PAPER, [*LARGE, *overrides]), tmp_path)
        return gpu_costs(plan, tmp_path, H100, 32)[0]

    kept, again = largest(), largest("training.activation_checkpointing=true")
    assert again["step_seconds"] == pytest.approx(kept["step_seconds"] * 4 / 3)
    selected = largest("training.activation_checkpointing=selective")
    assert selected["step_seconds"] == pytest.approx(kept["step_seconds"] * 7 / 6)
    assert kept["memory_bytes"] > selected["memory_bytes"] > again["memory_bytes"]
    assert (kept["mfu"], kept["mfu_from"]) == (ASSUMED_MFU, "assumed")
    assert (kept["fits"], kept["fits_recomputed"], again["fits"]) == (False, True, True)
    assert gpu_table_row(kept)["fits"] == "with activation checkpointing"


def test_an_evaluation_too_large_does_not_fit_however_training_is_done(tmp_path: Path) -> None:
    """Logits of the global batch of 256, on each GPU: what no activation checkpointing mends."""
    plan = plan_study(load_recipe(PAPER, []), tmp_path)
    assert all(row["fits"] for row in gpu_costs(plan, tmp_path, H100))
    plan = plan_study(load_recipe(PAPER, ["evaluation.validation_batch_size=512"]), tmp_path)
    for row in gpu_costs(plan, tmp_path, H100):
        assert row["memory_bytes"] == row["memory_evaluation_bytes"] > row["memory_training_bytes"]
        assert not row["fits"]
        assert not row["fits_recomputed"]
        shown = gpu_table_row(row)
        assert shown["fits"] == "no"
        assert float(shown["evaluation"].split()[0]) > 80


def test_more_gpus_need_less_memory_each_and_the_same_flops(tmp_path: Path) -> None:
    plan = plan_study(load_recipe(PAPER, []), tmp_path)
    few, many = (gpu_costs(plan, tmp_path, H100, count)[0] for count in (8, 64))
    assert many["memory_bytes"] < few["memory_bytes"]
    assert many["gpu_hours"] == pytest.approx(few["gpu_hours"])


def test_a_batch_that_does_not_divide_is_refused_with_the_next_that_does() -> None:
    run = load_recipe(PAPER, []).runs[0]
    with pytest.raises(InputError, match=r"batch of 256 .* by 48 ranks.*: 32\."):
        spread(run, 48)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gpu", "h1000"], "did you mean 'h100'"),
        (["--gpus", "8"], "need --gpu"),
        (["--gpu", "h100", "--mfu", "40"], "between 0 and 1"),
        (["--gpu", "h100", "--set", 'training.dtype="float32"'], "bfloat16"),
    ],
)
def test_what_cannot_be_reckoned_is_refused(tmp_path: Path, options: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["plan", PAPER, "--results", str(tmp_path), *options])
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)


def test_runs_on_such_a_gpu_replace_the_assumption(results: Path, make_run: MakeRun) -> None:
    def trained(run_id: str, device: str, dtype: str, ranks: int = 1) -> RunFolder:
        run = make_run(
            run_id, {10: 50_000.0, 20: 60_000.0, 30: 40_000.0}, metric="tokens_per_second"
        )
        run.note_device(device, dtype, ranks)
        run.note_device(device, dtype, ranks)
        noted = {"device": device, "dtype": dtype, "ranks": ranks}
        assert run.provenance_json()["trained_on"] == [noted]
        document = run.config_json()
        document["derived"]["train_flops"] = 819_200 * 6e9
        write_json(run.config_path, document)
        return run

    trained("a", "NVIDIA H100 80GB HBM3", "bfloat16")
    trained("b", "NVIDIA A100-SXM4-80GB", "bfloat16")
    trained("c", "NVIDIA H100 80GB HBM3", "float32")
    ingest(results)
    found = measured_mfu(results, H100)
    assert found == {"ar": pytest.approx(6e9 * 50_000 / 989.4e12)}
    plan = plan_study(load_recipe("quickstart", ['training.dtype="bfloat16"']), results)
    rows = {row["objective"]: row["mfu_from"] for row in gpu_costs(plan, results, H100)}
    assert rows == {"ar": "runs on h100 in the store", "mdlm": "assumed"}


def test_the_plan_tells_it_to_programs(tmp_path: Path) -> None:
    options = ["--results", str(tmp_path), "--gpu", "h200", "--gpus", "16", "--format", "json"]
    done = CliRunner().invoke(app, ["plan", PAPER, *options], catch_exceptions=False)
    document = json.loads(done.stdout)
    assert {row["gpus"] for row in document["gpu"]} == {16}
    assert len(document["gpu"]) == len(document["runs"])
