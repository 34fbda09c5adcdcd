"""What a run was started as, in its provenance."""

import pytest

from tests.made_runs import MakeRun
from workbench.runs.started_as import (
    StartedAs,
    as_provenance,
    has_numbers,
    note_started_as,
    started_as,
)


@pytest.mark.parametrize(
    "started",
    [StartedAs("cuda", "bfloat16", True), StartedAs("cpu", "float32", False, "no compiler")],
)
def test_what_was_noted_is_read_again(started: StartedAs, make_run: MakeRun) -> None:
    run = make_run("a", {1: 1.0})
    note_started_as(run, started)
    assert started_as(run.provenance_json()) == started
    assert started_as(as_provenance(started)) == started


@pytest.mark.parametrize("compiled", [True, False])
def test_a_run_of_before_goes_on_where_it_trained_last_as_its_recipe_says(compiled: bool) -> None:
    on = [
        {"device": "NVIDIA H100 80GB HBM3", "dtype": "bfloat16", "ranks": 1},
        {"device": "cpu", "dtype": "float32", "ranks": 1},
    ]
    last = StartedAs("cpu", "float32", compiled)
    assert started_as({"trained_on": on}, compiled=compiled) == last
    first = StartedAs("cuda", "bfloat16", compiled)
    assert started_as({"trained_on": on[:1]}, compiled=compiled) == first
    assert started_as({}) is None


@pytest.mark.training  # a checkpoint is taken for a sign of that
def test_a_run_has_numbers_once_it_has_a_number_or_a_checkpoint(make_run: MakeRun) -> None:
    run = make_run("a", {1: 1.0})
    assert has_numbers(run)
    run.records_path.write_text("")
    assert not has_numbers(run)
    (run.checkpoint_dir / "step-4").mkdir(parents=True)
    assert not has_numbers(run), "a checkpoint without metadata is none"
    (run.checkpoint_dir / "step-4" / ".metadata").touch()
    assert has_numbers(run)
