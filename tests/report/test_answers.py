"""A study's answer in a sentence: bounds are called bounds, and nothing is surer than it is."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.made_runs import MakeRun, make_crossing_seeds
from workbench.analysis.crossover import crossovers
from workbench.api.results import Results
from workbench.cli import app
from workbench.errors import InputError
from workbench.report.answers import FEW, crossover_sentence, newest_first, study_answer
from workbench.store import ingest

AR = {100: 4.0, 200: 3.0, 300: 3.2, 400: 3.4}
AHEAD_LATE = {100: 4.5, 200: 3.4, 300: 3.1, 400: 3.0}
BEHIND = {100: 5.0, 200: 4.5, 300: 4.0, 400: 3.9}
AHEAD = {100: 3.9, 200: 2.9, 300: 2.8, 400: 2.7}


def pair(make_run: MakeRun, name: str, challenger: dict[int, float], unique: int) -> None:
    """A run of AR and one of masked diffusion, on so many unique tokens."""
    budget = f"data.unique_tokens={unique}"
    make_run(f"{name}a", AR, overrides=[budget])
    make_run(f"{name}b", challenger, overrides=[budget, "training.objective='mdlm'"])


def test_each_comparison_is_named_with_its_place_or_its_bound(
    results: Path, make_run: MakeRun
) -> None:
    pair(make_run, "1", AHEAD_LATE, 12_800)
    pair(make_run, "2", BEHIND, 32_000)
    pair(make_run, "3", AHEAD, 64_000)
    ingest(results)
    answer = study_answer(results, "made")
    first, second, third = answer.sentence.split("; ")
    assert first.startswith("By val_loss, masked diffusion overtakes AR at ")
    assert first.endswith("with 12.8k unique tokens")
    assert second.startswith("has not overtaken by ")
    assert "with 32k unique tokens, a lower bound" in second
    assert "is behind by 0.5" in second
    assert third.startswith("is ahead from ")
    assert third.endswith("with 64k unique tokens, an upper bound.")
    caveats = " ".join(answer.caveats)
    assert "1 seed of each configuration." in caveats
    assert "NELBOs, upper bounds" in caveats
    assert answer.page == "crossover?study=made&metric=val_loss"
    assert Results(results).study("made").answer() == answer


@pytest.mark.slow
def test_an_interval_says_what_it_runs_over_and_an_undecided_end_is_called_so(
    results: Path, make_run: MakeRun
) -> None:
    make_crossing_seeds(make_run, 150)
    ingest(results)
    answer = study_answer(results, "made")
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert row["ci95"]
    assert "(95 %: " in answer.sentence
    assert "3 seeds of each configuration." in answer.caveats
    assert any("3 seeds and 24 documents" in line for line in answer.caveats)
    end = {"difference": -0.01, "ci95": [-0.03, 0.01]}
    open_row = {**row, "status": "undecided", "crossover": None, "ci95": None, "lower_bound": None}
    from workbench.analysis.run_keys import identity

    text = crossover_sentence([open_row], {identity(row["group"]): end})
    assert "may be ahead of AR or not at " in text
    assert text.endswith(": undecided, ahead by 0.01 (95 %: -0.01 to 0.03)")


def test_many_comparisons_are_counted_each_in_its_state(results: Path, make_run: MakeRun) -> None:
    for number in range(FEW + 1):
        pair(make_run, str(number), AHEAD_LATE if number else BEHIND, 12_800 * (number + 1))
    ingest(results)
    sentence = study_answer(results, "made").sentence
    assert f"overtakes AR in {FEW} of {FEW + 1} comparisons, at " in sentence
    assert sentence.endswith("; in 1 it has not by the end of the runs, so it would be later.")


def test_runs_that_make_no_pair_have_a_best_configuration(results: Path, make_run: MakeRun) -> None:
    make_run("a", AR, overrides=["model.dropout=0.1"])
    make_run("b", AHEAD, overrides=["model.dropout=0.2"])
    ingest(results)
    answer = study_answer(results, "made")
    assert answer.sentence.startswith("Lowest val_loss of 2 configurations: 2.7, by AR with ")
    assert "dropout 0.2" in answer.sentence
    assert any("dropout 0.1" in line for line in answer.caveats)


def test_a_study_without_numbers_says_so(results: Path, make_run: MakeRun) -> None:
    make_run("a", {}, state="planned")
    ingest(results)
    assert study_answer(results, "made").sentence == "Nothing has been evaluated yet."


def test_the_command_says_the_same_for_every_study_the_newest_first(
    results: Path, make_run: MakeRun
) -> None:
    pair(make_run, "1", AHEAD_LATE, 12_800)
    for name, made in (("a", "2026-01-02T00:00:00+0000"), ("b", "2026-01-03T00:00:00+0000")):
        run = make_run(f"run{name}", AR, study=name)
        origin = json.loads(run.provenance_path.read_text())
        run.provenance_path.write_text(json.dumps({**origin, "created": made}))
    ingest(results)
    assert newest_first(results)[:2] == ["b", "a"]
    run_command = CliRunner().invoke
    printed = run_command(app, ["answer", "--results", str(results), "--format", "json"])
    document = json.loads(printed.stdout)
    assert [row["study"] for row in document] == newest_first(results)
    shown = run_command(app, ["answer", "made", "--results", str(results)]).stdout
    answer = study_answer(results, "made")
    assert shown.splitlines()[0] == f"made: {answer.sentence}"
    assert [line.strip() for line in shown.splitlines()[1:]] == list(answer.caveats)


def test_an_unknown_metric_is_named(results: Path, make_run: MakeRun) -> None:
    pair(make_run, "1", AHEAD_LATE, 12_800)
    ingest(results)
    with pytest.raises(InputError, match="did you mean 'val_loss'"):
        study_answer(results, "made", "val_los")
