"""What `workbench status` shows of runs."""

from pathlib import Path

from tests.made_runs import MakeRun
from workbench.running.status import status_rows
from workbench.runs.started_as import StartedAs, note_started_as


def test_protocols_are_shown_where_a_study_has_runs_of_several(
    results: Path, make_run: MakeRun
) -> None:
    make_run("new", {1: 1.0}, protocol=2)
    make_run("imported", {1: 1.0}, imported=True)
    make_run("elsewhere", {1: 1.0}, study="other", protocol=1)
    assert all("protocol" not in row for row in status_rows(results))
    make_run("old", {1: 1.0}, protocol=1)
    shown = {row["run_id"]: row["protocol"] for row in status_rows(results)}
    assert shown == {"new": 2, "imported": None, "elsewhere": 1, "old": 1}


def test_what_a_run_was_started_as_is_shown_once_it_is_known(
    results: Path, make_run: MakeRun
) -> None:
    make_run("planned", {1: 1.0}).write_status(state="planned", step=0)
    make_run("silent", {1: 1.0})
    note_started_as(make_run("new", {1: 1.0}), StartedAs("cuda", "bfloat16", True))
    make_run("old", {1: 1.0}).note_device("cpu", "float32", 1)
    damaged = make_run("damaged", {1: 1.0})
    damaged.provenance_path.write_text("{")
    shown = {row["run_id"]: row["trains_as"] for row in status_rows(results)}
    assert shown == {
        "planned": None,
        "silent": "unknown: provenance.json does not say",
        "new": "cuda bfloat16 compiled",
        "old": "cpu float32 eager",
        "damaged": "unknown: provenance.json is damaged",
    }
