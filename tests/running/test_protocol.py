"""Runs of an earlier evaluation protocol: read, and never gone on with."""

from pathlib import Path

import pytest

from tests.running.test_worker import make_run
from workbench.errors import InputError
from workbench.metrics import PROTOCOL
from workbench.running import worker
from workbench.running.extend import extend
from workbench.runs.evaluations import Evaluated, record_evaluations
from workbench.runs.files import read_json, write_json
from workbench.runs.folder import RunFolder
from workbench.store import ingest, query


def of_protocol_1(run: RunFolder) -> RunFolder:
    """Make a run one that was made before the number was written down."""
    document = read_json(run.config_path)
    assert document.pop("protocol") == PROTOCOL
    write_json(run.config_path, document)
    return run


@pytest.fixture
def run(tmp_path: Path, corpus: Path) -> RunFolder:
    return make_run(tmp_path, corpus)


def test_a_run_says_its_protocol_and_one_without_is_of_the_first(run: RunFolder) -> None:
    assert run.protocol() == PROTOCOL
    assert of_protocol_1(run).protocol() == 1


@pytest.mark.training
def test_an_unfinished_run_of_before_is_not_gone_on_with(run: RunFolder) -> None:
    of_protocol_1(run)
    run.write_status(state="interrupted", step=4)
    assert worker.main(run.path) == worker.FAILED
    status = run.status()
    assert (status.state, status.step) == ("failed", 4)
    assert status.error is not None
    assert "evaluation protocol 1, and this workbench measures by protocol" in status.error
    assert "`workbench run RECIPE` trains it anew, under an id of its own" in status.error
    assert not run.records_path.exists()


def test_a_finished_run_of_before_is_not_extended(run: RunFolder, tmp_path: Path) -> None:
    of_protocol_1(run)
    run.write_status(state="finished", step=12)
    with pytest.raises(InputError, match=r"protocol 1.*--set training\.total_tokens=12288"):
        extend(tmp_path, run.run_id, 12_288)


def test_a_finished_run_of_before_is_left_as_it_is(run: RunFolder) -> None:
    of_protocol_1(run)
    run.write_status(state="finished", step=12)
    assert worker.main(run.path) == worker.FINISHED


def test_numbers_measured_later_say_by_which_protocol(run: RunFolder, tmp_path: Path) -> None:
    """So that they are no points of the run's own curve."""
    number = Evaluated("val_loss", 2.5, 0.1, 64, "nelbo", "val_loss", 32, 0, {}, documents=9)
    run.write_status(state="finished", step=12)
    (record,) = record_evaluations(run, 12, [number])
    assert record["estimator"] == "nelbo"
    (record,) = record_evaluations(of_protocol_1(run), 12, [number])
    assert record["estimator"] == f"nelbo/protocol={PROTOCOL}"
    run.records_path.touch()
    ingest(tmp_path)
    answer = query(tmp_path, "SELECT protocol FROM runs")
    assert answer.rows() == [(1,)]
