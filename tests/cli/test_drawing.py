"""`workbench figure`: any figure of a study by its name, and what is refused."""

from pathlib import Path

import pytest

from tests.conftest import Workbench
from tests.made_runs import MakeRun, make_crossing_seeds
from workbench.store import ingest


@pytest.mark.long
def test_any_figure_is_drawn_by_its_name_with_its_options_and_data(
    results: Path, make_run: MakeRun, tmp_path: Path, workbench: Workbench
) -> None:
    make_crossing_seeds(make_run, 150, seeds=2)
    make_run("other", {1: 5.0, 2: 4.0}, study="other")
    ingest(results)
    asked = ("--option", "show=winner", "--option", "at=best", "--results", results)
    done = workbench("figure", "map", "made", *asked, "--with-data")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "made-map.svg"
    assert (tmp_path / "made-map.svg").read_text().startswith("<svg")
    assert "masked diffusion" in (tmp_path / "made-map.csv").read_text()
    done = workbench(
        *("figure", "studies", "made", "other", "--figure", "both.svg", "--width", "column"),
        *("--results", results),
    )
    assert done.returncode == 0, done.stderr
    assert "Caption: made, other: val_loss" in done.stderr
    for wrong, words in (
        (("mop", "made"), "no figure mop, did you mean 'map'?"),
        (("map", "made", "other"), "only `studies` is of several"),
        (("map", "made", "--option", "shown=winner"), "Options: show, metric"),
        (("map", "made", "--option", "winner"), "expected NAME=VALUE"),
        (("key", "made", "--option", "key=model.colour"), "no run has the key model.colour"),
    ):
        done = workbench("figure", *wrong, "--results", results)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
