"""Provenance: what a run's numbers came from, without importing the engine."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.runs import provenance as module
from workbench.runs.provenance import provenance


def test_it_names_code_versions_machine_and_recipe() -> None:
    origin = provenance("[study]\n")
    assert origin["recipe_sha256"] == hashlib.sha256(b"[study]\n").hexdigest()
    assert origin["command"] == sys.argv
    versions = origin["versions"]
    assert versions["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert versions["torchtitan"] == "0.3.0"
    assert {"torch", "workbench", "numpy"} <= versions.keys()
    assert {"created", "host", "platform", "cpus", "git"} <= origin.keys()
    assert json.loads(json.dumps(origin)) == origin


def test_a_package_that_is_absent_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PACKAGES", ("no-such-package-at-all",))
    assert provenance("")["versions"]["no-such-package-at-all"] is None


def test_it_does_not_import_torch() -> None:
    code = (
        "import sys, workbench.runs.provenance as p; p.provenance('');print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_git_gives_the_revision_and_whether_files_differ(tmp_path: Path) -> None:
    shutil.copy(module.__file__, tmp_path / "provenance.py")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert module._git(tmp_path) == {"revision": head, "dirty": False}
    (tmp_path / "provenance.py").write_text("")
    assert module._git(tmp_path) == {"revision": head, "dirty": True}


def test_a_package_inside_somebody_elses_repository_has_no_revision(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "provenance.py").write_text("")
    assert module._git(tmp_path) is None
