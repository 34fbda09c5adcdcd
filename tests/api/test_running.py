"""Training from Python: recipes as dictionaries, runs in processes of their own, interrupts."""

import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench.errors import InputError
from workbench.recipe import load_recipe
from workbench.runs.folder import RunFolder, list_runs


def test_a_recipe_of_a_dictionary_is_that_of_its_file(recipe: Path) -> None:
    document = tomllib.loads(recipe.read_text())
    given = {"training.lr": np.float64(1e-3), "model.dropout": 0.1, "data.corpus": Path("x.txt")}
    by_file, by_dict = (wb.Recipe.load(source, given) for source in (recipe, document))
    assert by_file.runs == by_dict.runs
    assert wb.Recipe.load(wb.Recipe.load(document), given).runs == by_file.runs
    assert (
        by_file.runs
        == load_recipe(recipe, ["training.lr=1e-3", "model.dropout=0.1", "data.corpus=x.txt"]).runs
    )
    assert tomllib.loads(wb.Recipe.load(document).text) == document


def test_what_no_recipe_has_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="unknown table"):
        wb.Recipe.load({"studi": {}})
    with pytest.raises(InputError, match="a recipe has no values of the kind object"):
        wb.plan("quickstart", set={"training.lr": object()})


def test_a_plan_is_the_commands(recipe: Path, tmp_path: Path) -> None:
    plan = wb.plan(recipe, tmp_path / "results", set={"training.total_tokens": 12_288})
    assert plan.total_tokens == 2 * 12_288
    assert plan.frame["total_tokens"].to_list() == [12_288, 12_288]
    assert plan.study == "tiny"
    assert not (tmp_path / "results").exists()


SCRIPT = """
import workbench as wb
report = wb.run({recipe!r}, {results!r})
assert report.ok, report
"""


@pytest.mark.long
@pytest.mark.training
def test_a_script_without_a_main_guard_trains_once(recipe: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(recipe=str(recipe), results=str(results)))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("finished   ") == 2
    assert len(list_runs(results)) == 2
    # A thread has no signals to handle; what is finished is skipped there as everywhere.
    reports: list[wb.RunReport] = []
    thread = threading.Thread(target=lambda: reports.append(wb.run(recipe, results)))
    thread.start()
    thread.join()
    assert [len(report.skipped) for report in reports] == [2]
    model = wb.Results(results).load_model(list_runs(results)[0].run_id[:6])
    assert model.config.training.total_tokens == 6_144


def test_a_run_that_was_not_trained_has_no_model(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run"):
        wb.Results(tmp_path).load_model("abc")


@pytest.mark.long
@pytest.mark.training
def test_an_interrupted_cell_goes_on_where_it_was(recipe: Path, tmp_path: Path) -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(tmp_path))
    keys = {"training.total_tokens": 153_600, "evaluation.points": 3}
    train = f"import workbench as wb\nwb.run({str(recipe)!r}, set={keys!r})"

    def runs() -> list[RunFolder]:
        folder = tmp_path / "results"
        return list_runs(folder) if (folder / "runs").is_dir() else []

    try:
        asked = client.execute(train)
        while not any(run.status().step > 20 for run in runs()):
            time.sleep(0.5)
        manager.interrupt_kernel()
        message = client.get_shell_msg(timeout=120)
        while message["parent_header"].get("msg_id") != asked:
            message = client.get_shell_msg(timeout=120)
        reply = message["content"]
        assert (reply["status"], reply.get("ename")) == ("error", "KeyboardInterrupt")
        left = [run.status() for run in runs()]
        assert {status.state for status in left} <= {"interrupted", "planned"}
        assert max(status.step for status in left) > 20
        reply = client.execute_interactive(train, timeout=600)["content"]
        assert reply["status"] == "ok", reply
        assert {run.status().state for run in runs()} == {"finished"}
        attempts = [run.status().attempts for run in runs()]
        assert max(attempts) == 2
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
