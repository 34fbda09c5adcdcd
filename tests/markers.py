"""What each test needs, as markers, so that `pytest -m` can run a part of them.

Most markers follow from the fixtures that a test asks for, itself or through another fixture, or
from its folder. A test that trains without one of these fixtures, or that takes long, has the
marker on itself or on its file; `trained_without_a_marker` finds the ones that forgot.
"""

from pathlib import Path

import pytest

OF_FIXTURES: dict[str, tuple[str, ...]] = {
    "trained": ("training",),
    "undisturbed_results": ("training",),
    "browser": ("browser", "system"),
    "slurm": ("slurm", "system"),
    "confinement": ("system",),
    "small_disk": ("system",),
}
"""Markers of the tests that ask for a fixture."""
OF_FOLDERS: dict[str, tuple[str, ...]] = {
    "tests/end_to_end/": ("training",),
    "tests/running/slurm/test_training.py": ("training",),
}
"""Markers of a folder's or a file's tests."""
NOT_QUICK = ("training", "browser", "slurm", "system", "slow", "long")
"""What `make quick` leaves out."""


def expected_markers(item: pytest.Item) -> set[str]:
    """The markers that follow from a test's fixtures and from its folder."""
    fixtures = set(getattr(item, "fixturenames", ()))
    found = {m for name, markers in OF_FIXTURES.items() if name in fixtures for m in markers}
    for folder, markers in OF_FOLDERS.items():
        if item.nodeid.startswith(folder):
            found.update(markers)
    return found


def add_markers(item: pytest.Item) -> None:
    """Give a test the markers that follow from its fixtures and from its folder."""
    for name in sorted(expected_markers(item)):
        item.add_marker(name)


def trained_without_a_marker(folder: Path) -> list[Path]:
    """The checkpoints of runs below a test's own folder: what training leaves there."""
    return sorted(path.parent for path in folder.rglob("checkpoint/step-*/.metadata"))


def check_marker(item: pytest.Item) -> None:
    """Fail a test that has trained a model although it lacks the marker `training`."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if folder is None or item.get_closest_marker("training") is not None:
        return
    found = trained_without_a_marker(folder)
    if found:
        pytest.fail(
            f"{item.nodeid} has trained a model ({found[0]}): give it @pytest.mark.training, "
            "so that `make quick` leaves it out.",
            pytrace=False,
        )
