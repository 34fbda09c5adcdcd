"""`examples/plugin`, installed into a folder of its own: trained, drawn, fitted, sampled from."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RECIPE
from tests.plugins import write_package

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"
Ask = Callable[..., subprocess.CompletedProcess[str]]


def install(source: Path, target: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-index"]
    pip += ["--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(pip, check=True, capture_output=True)
    return target


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(EXAMPLE, tmp_path_factory.mktemp("plugin") / "site")


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory, installed: Path, corpus: Path) -> Ask:
    """The command line beside the plug-in, in a folder where its study is trained."""
    folder = tmp_path_factory.mktemp("study")
    recipe = RECIPE.format(corpus=corpus).replace('["ar", "mdlm"]', '["ar", "ardm"]')
    (folder / "tiny.toml").write_text(recipe)

    def run(*arguments: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
        paths = [str(site or installed), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.run(
            [sys.executable, "-m", "workbench.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    done = run("run", "tiny.toml")
    assert done.returncode == 0, done.stderr
    return run


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def planned(ask: Ask, **where: Path) -> dict[str, str]:
    """Run ids by objective."""
    rows = answer(ask("plan", "tiny.toml", "--format", "json", **where))
    runs = rows["runs"] if isinstance(rows, dict) else rows
    return {row["objective"]: row["run_id"] for row in runs}


def test_its_files_are_short() -> None:
    for path in (EXAMPLE / "src").rglob("*.py"):
        assert len(path.read_text().splitlines()) < 100


def test_its_runs_are_trained_and_drawn_beside_the_built_in_ones(ask: Ask) -> None:
    sql = "SELECT objective, metric, estimator, count(*) AS n FROM runs JOIN metrics USING (run_id)"
    sql += " WHERE metric IN ('val_loss', 'cloze_acc') GROUP BY ALL"
    rows = answer(ask("sql", sql, "--format", "json"))
    seen = {(row["objective"], row["metric"]): row["estimator"] for row in rows}
    assert seen["ardm", "val_loss"] == "nelbo"
    assert seen["ar", "val_loss"] == "nll"
    assert ("ardm", "cloze_acc") in seen
    drawn = ask(
        *("crossover", "tiny", "--challenger", "ardm", "--metric", "val_loss"),
        *("--figure", "crossover.svg", "--format", "json"),
    )
    assert len(answer(drawn)) == 1
    assert "'s values come from NELBOs" in drawn.stderr


def test_its_models_are_sampled_with_the_samplers_that_its_facts_name(ask: Ask) -> None:
    run = planned(ask)["ardm"]
    for sampler in ("ancestral", "confidence"):
        (row,) = answer(
            ask("sample", run, "--tokens", "8", "--sampler", sampler, "--format", "json")
        )
        assert row["sampler"] == sampler
    refused = ask("sample", run, "--sampler", "ar")
    assert refused.returncode == 2
    assert "which takes ancestral, confidence" in refused.stderr


def test_its_law_is_fitted_and_drawn(ask: Ask) -> None:
    fitted = ask(
        *("fit", "--study", "tiny", "--law", "epoch_power", "--at", "curve", "--resamples", "0"),
        *("--fixed", "E=0.5,A=1,alpha=0.3", "--figures", "figures", "--format", "json"),
    )
    fits = answer(fitted)
    assert {fit["objective_name"] for fit in fits} == {"ar", "ardm"}
    assert all("workbench-example 0.1.0, numbers = 1" in str(fit["citation"]) for fit in fits)
    near = ask("fit", "--study", "tiny", "--law", "epoch_powers")
    assert near.returncode == 2
    assert "did you mean 'epoch_power'?" in near.stderr


def test_provenance_names_the_package(ask: Ask) -> None:
    sql = (
        "SELECT objective, provenance->'plugins' AS plugins, config->'plugins' AS numbers FROM runs"
    )
    rows = {row["objective"]: row for row in answer(ask("sql", sql, "--format", "json"))}
    (origin,) = json.loads(str(rows["ardm"]["plugins"]))
    assert (origin["package"], origin["version"]) == ("workbench-example", "0.1.0")
    assert json.loads(str(rows["ardm"]["numbers"])) == {"objectives": {"ardm": 1}}
    assert rows["ar"]["plugins"] is None
    assert rows["ar"]["numbers"] is None


def test_the_schema_lists_it(ask: Ask) -> None:
    done = ask("schema")
    tables = json.loads(done.stdout)["$defs"]
    assert tables["TrainingConfig"]["properties"]["objective"]["enum"][-1] == "ardm"
    assert done.stderr == ""


def test_other_numbers_are_other_runs_and_old_ones_are_not_gone_on_with(
    ask: Ask, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "source")
    declared = tmp_path / "source" / "src" / "workbench_example" / "__init__.py"
    declared.write_text(declared.read_text().replace("numbers=1,  #", "numbers=2,  #"))
    newer = install(tmp_path / "source", tmp_path / "site")
    before, after = planned(ask), planned(ask, site=newer)
    assert after["ar"] == before["ar"]
    assert after["ardm"] != before["ardm"]
    for command in (
        ("sample", before["ardm"]),
        ("extend", before["ardm"], "--total-tokens", "12288"),
        ("eval", before["ardm"], "--tasks", "cloze"),
    ):
        done = ask(*command, site=newer)
        assert done.returncode == 2
        assert "was planned with numbers = 1 of the plug-in ardm" in done.stderr
        assert "has numbers = 2" in done.stderr


def test_without_the_plug_in_its_runs_are_looked_at_and_no_more(ask: Ask, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    run = planned(ask)["ardm"]
    refused = ask("plan", "tiny.toml", site=empty)
    assert refused.returncode == 2
    assert 'training.objective = "ardm"' in refused.stderr
    assert "expected 'ar', " in refused.stderr
    rows = answer(ask("outcomes", "tiny", "--metric", "val_loss", "--format", "json", site=empty))
    assert len(rows) == 2
    gone = ask("sample", run, site=empty)
    assert gone.returncode == 2
    assert (
        "the plug-in ardm (entry point workbench.objectives), which is not installed" in gone.stderr
    )


def test_a_second_package_of_its_name_is_refused_and_so_is_a_broken_one(
    ask: Ask, installed: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    shutil.copytree(installed, site)
    write_package(site, "rival", {"objectives": {"ardm": "rival:D", "gone": "no_such_module:D"}})
    refused = ask("plan", "tiny.toml", site=site)
    assert refused.returncode == 2
    for package in ("workbench-example 0.1.0", "rival 1.0"):
        assert f"package {package}, entry point workbench.objectives: ardm" in refused.stderr
    broken = ask("plan", "tiny.toml", "--set", 'training.objective="gone"', site=site)
    assert broken.returncode == 2
    assert "ModuleNotFoundError: No module named 'no_such_module'" in broken.stderr
    assert "Traceback" not in broken.stderr + refused.stderr
    fine = ask("plan", "tiny.toml", "--set", 'training.objective="mdlm"', site=site)
    assert fine.returncode == 0
