"""A folder in which the commands of the documents can be run."""

import shutil
from pathlib import Path

import pytest

from tests.docs.workplace import make_workplace


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `workplace` is a copy of. Leave it as it is."""
    return make_workplace(tmp_path_factory.mktemp("docs") / "workplace")


@pytest.fixture
def workplace(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, made the current one."""
    folder = tmp_path / "workplace"
    shutil.copytree(template, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WORKBENCH_SITE", str(tmp_path / "site.toml"))
    return folder
