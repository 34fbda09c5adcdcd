"""Every part of the tests can be run alone, and `make quick` runs what needs nothing."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.markers import NOT_QUICK, OF_FIXTURES, OF_FOLDERS, check_marker, expected_markers

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
SYSTEM = {"browser", "slurm"}


def test_every_test_has_the_markers_that_its_fixtures_and_folder_ask_for(
    request: pytest.FixtureRequest,
) -> None:
    for item in request.session.items:
        present = {mark.name for mark in item.iter_markers()}
        assert expected_markers(item) <= present, item.nodeid
        if present & SYSTEM:
            assert "system" in present, item.nodeid


def test_the_table_names_fixtures_and_folders_that_exist() -> None:
    sources = "\n".join(path.read_text() for path in ROOT.glob("tests/**/*.py"))
    for name in OF_FIXTURES:
        assert re.search(rf"@pytest\.fixture.*\ndef {name}\(", sources), name
    for folder in OF_FOLDERS:
        assert (ROOT / folder).exists(), folder


def test_every_marker_is_registered_with_a_sentence_and_make_quick_leaves_it_out() -> None:
    described = dict(marker.split(": ", 1) for marker in SETTINGS["markers"])
    assert list(described) == list(NOT_QUICK)
    assert all(sentence.endswith(".") for sentence in described.values())
    assert f'-m "not ({" or ".join(NOT_QUICK)})"' in recipe_of("quick")


def recipe_of(target: str) -> str:
    """A rule of the Makefile, its prerequisites included."""
    text = (ROOT / "Makefile").read_text()
    found = re.search(rf"^{target}:.*\n(\t.*\n)+", text, re.MULTILINE)
    assert found is not None, target
    return found[0]


def test_make_quick_installs_nothing_of_the_system() -> None:
    assert recipe_of("quick").splitlines()[0] == "quick: setup"
    assert "apt-get" not in recipe_of("quick")
    assert "apt-get" not in recipe_of(r"\$\(STAMP\)")


def test_a_test_that_has_trained_without_the_marker_fails(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("results")
    item = pytest.Function.from_parent(request.node.parent, name="recipe_of", callobj=recipe_of)
    item.funcargs = {"tmp_path": folder}
    check_marker(item)
    step = folder / "runs" / "abc" / "checkpoint" / "step-4"
    step.mkdir(parents=True)
    (step / ".metadata").touch()
    with pytest.raises(
        pytest.fail.Exception, match=r"recipe_of has trained.*pytest\.mark\.training"
    ):
        check_marker(item)
    item.add_marker("training")
    check_marker(item)
