"""A cluster for the session, and each test's use of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running.slurm.cluster import Cluster, missing_programs, start_cluster
from tests.running.studies import SCRIPTED


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """The two-node cluster. Use `cluster`, which clears it after each test."""
    missing = missing_programs()
    if missing:
        pytest.fail(
            f"{', '.join(missing)} of Slurm are missing: `make slurm` installs the system's "
            "packages slurm-wlm and munge; or leave out tests/running/slurm."
        )
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons for tests run as root")
    # Not pytest's folder: sockets have short paths.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = None
    try:
        cluster = start_cluster(folder)
        yield cluster
    finally:
        if cluster is not None:
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def no_site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's own settings."""
    monkeypatch.delenv("WORKBENCH_SITE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))


@pytest.fixture
def cluster(slurm: Cluster, monkeypatch: pytest.MonkeyPatch, no_site: None) -> Iterator[Cluster]:
    """The cluster, empty, for commands of this process and its children."""
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    yield slurm
    slurm.clear()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers without torch: see `scripted_worker`."""
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
