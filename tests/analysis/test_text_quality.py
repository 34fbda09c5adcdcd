"""A study's generated texts by configuration, length and steps."""

from pathlib import Path

import pytest

from tests.made_runs import MakeRun
from workbench.analysis.text_quality import text_notes, text_quality
from workbench.conditions import parse_conditions
from workbench.errors import InputError
from workbench.runs.records import RecordWriter
from workbench.store import ingest


@pytest.fixture
def measured(results: Path, make_run: MakeRun) -> Path:
    """AR with dropout, and diffusion without; both with held-out text."""
    made = {"ar": "ar-16", "mdlm": "ancestral-16-in-4"}
    dropout = {"ar": 0.2, "mdlm": 0.0}
    for objective, name in made.items():
        for seed in range(2):
            run = make_run(
                f"{objective}{seed}", {10: 3.0},
                overrides=[
                    f"training.seed={seed}", f"training.objective='{objective}'",
                    f"model.dropout={dropout[objective]}",
                ],
            )  # fmt: skip
            writer = RecordWriter(run.records_path)
            for metric, value in ((f"text_nll@{name}", 2.5), ("text_nll@held-out-16", 2.0)):
                writer.write(
                    step=10, tokens=20480, epoch=1.6, flops=1e9, metric=metric, value=value + seed,
                    estimator="judge=a/prompts=4",
                )  # fmt: skip
            writer.close()
    ingest(results)
    return results


def test_a_configuration_is_called_alike_in_all_of_its_rows(measured: Path) -> None:
    """By what differs among all configurations, not among those that one sampler made texts of."""
    rows = text_quality(measured, "made")
    names = [(row["objective"], row["sampler"], row["group"]["model.dropout"]) for row in rows]
    assert names == [
        ("ar", None, 0.2), ("ar", "ar", 0.2), ("mdlm", None, None), ("mdlm", "ancestral", None),
    ]  # fmt: skip
    assert [row["nll"]["mean"] for row in rows] == [2.5, 3.0, 2.5, 3.0]


def test_runs_are_chosen_whether_or_not_each_sampler_made_texts_of_them(measured: Path) -> None:
    only = parse_conditions(["training.objective = ar"], "--where")
    assert [row["sampler"] for row in text_quality(measured, "made", only)] == [None, "ar"]
    with pytest.raises(InputError):
        text_quality(measured, "made", parse_conditions(["training.lr = 5"], "--where"))


def test_numbers_of_several_judges_are_not_compared_without_a_word(measured: Path) -> None:
    rows = text_quality(measured, "made")
    assert text_notes(rows) == []
    other = rows[0] | {"estimators": ["judge=ar0/prompts=64"]}
    notes = text_notes([other, *rows[1:]])
    assert notes[0].startswith("Note: judge differs among these numbers (a, ar0)")
    assert notes[1].startswith("Note: prompts differs among these numbers (4, 64)")
    assert notes[2] == "Note: run ar0 judges its own texts too."


def test_the_estimators_of_all_seeds_are_in_a_row(results: Path, make_run: MakeRun) -> None:
    for seed, judge in enumerate("ab"):
        run = make_run(f"r{seed}", {10: 3.0}, overrides=[f"training.seed={seed}"])
        writer = RecordWriter(run.records_path)
        writer.write(
            step=10, tokens=20480, epoch=1.6, flops=1e9, metric="text_nll@ar-16", value=2.0,
            estimator=f"judge={judge}/prompts=4",
        )  # fmt: skip
        writer.close()
    ingest(results)
    (row,) = text_quality(results, "made")
    assert row["estimators"] == ["judge=a/prompts=4", "judge=b/prompts=4"]
    assert "judge differs" in text_notes([row])[0]
