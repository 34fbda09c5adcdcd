"""The shipped curves: complete, and with the crossovers that are known of them."""

from pathlib import Path

import pytest

from workbench.analysis.crossover import crossovers
from workbench.errors import InputError
from workbench.importing.importer import import_runs
from workbench.running.control import cancel, retry
from workbench.running.status import status_rows
from workbench.runs.folder import list_runs
from workbench.store import query


def test_the_reference_needs_no_study_and_says_where_it_is_from(results: Path) -> None:
    report = import_runs("reference", None, results)
    assert (report.runs, report.records, report.study) == (6, 862, "reference")
    assert "2511.03276" in query(results, "SELECT source FROM studies").item()
    for run in list_runs(results):
        assert "digitised" in run.provenance_json()["origin"]


def test_published_accuracies_are_fractions(results: Path) -> None:
    notes = import_runs("reference", None, results).notes
    assert "hellaswag_acc_norm is in percent, and imported as a fraction." in notes
    largest = query(results, "SELECT max(value) FROM metrics WHERE metric LIKE '%acc%'").item()
    assert 0.5 < largest < 0.6


def test_the_reference_can_join_another_study(results: Path) -> None:
    assert import_runs("reference", "mine", results).study == "mine"
    assert query(results, "SELECT DISTINCT study FROM study_runs").item() == "mine"


@pytest.mark.parametrize(
    ("metric", "half_billion", "one_billion"),
    [("hellaswag_acc_norm", 34.4, 43.4), ("mmlu_acc_norm", 25.0, 36.4), ("val_loss", 4.7, 14.0)],
)
def test_the_reference_crosses_where_it_is_known_to(
    results: Path, metric: str, half_billion: float, one_billion: float
) -> None:
    import_runs("reference", None, results)
    small, middle, large = crossovers(results, "reference", metric, "epochs")
    # The points of a curve are 4 epochs apart, so where a line crosses depends on the line.
    assert small["crossover"] == pytest.approx(half_billion, abs=0.15)
    assert middle["crossover"] == pytest.approx(one_billion, abs=0.1)
    assert large["status"] == "not_reached"


def test_imported_runs_have_a_status_and_nothing_to_retry_or_cancel(results: Path) -> None:
    import_runs("reference", None, results)
    before = {path: path.read_bytes() for path in results.glob("runs/*/*")}
    assert {row["state"] for row in status_rows(results)} == {"finished"}
    with pytest.raises(InputError, match="nothing to train"):
        retry(results, "reference")
    cancel(results, "reference")
    assert {path: path.read_bytes() for path in results.glob("runs/*/*")} == before
