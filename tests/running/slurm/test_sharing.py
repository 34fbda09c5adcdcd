"""Results folders whose locks are each node's own are refused."""

from pathlib import Path

import pytest

from workbench.errors import InputError
from workbench.running.slurm.lock_sharing import check_locks_are_shared

ROOT = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw"
SHARED = "30 22 0:41 / {point} rw,relatime shared:5 - {kind} server:/export rw,vers=3,{options}"


def mounts(tmp_path: Path, *lines: str) -> Path:
    table = tmp_path / "mountinfo"
    table.write_text("\n".join([ROOT, *lines]) + "\n")
    return table


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        ("nfs", "nolock,local_lock=all", "local_lock=all"),
        ("nfs", "local_lock=flock", "local_lock=flock"),
        ("lustre", "localflock", "localflock"),
        ("cifs", "nobrl", "nobrl"),
    ],
)
def test_a_mount_with_local_locks_is_refused_by_name(
    kind: str, options: str, named: str, tmp_path: Path
) -> None:
    table = mounts(tmp_path, SHARED.format(point="/shared", kind=kind, options=options))
    with pytest.raises(InputError, match=f"/shared is {kind} mounted with {named}"):
        check_locks_are_shared(Path("/shared/me/results"), table)
    check_locks_are_shared(Path("/sharedelsewhere/results"), table)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("nfs", "local_lock=none"), ("nfs4", "hard"), ("lustre", "flock"), ("gpfs", "nobrl")],
)
def test_a_mount_with_shared_locks_is_taken(kind: str, options: str, tmp_path: Path) -> None:
    table = mounts(tmp_path, SHARED.format(point="/shared", kind=kind, options=options))
    check_locks_are_shared(Path("/shared/me/results"), table)


def test_the_innermost_and_the_latest_mount_counts(tmp_path: Path) -> None:
    outer = SHARED.format(point="/a\\040b", kind="nfs", options="local_lock=none")
    inner = SHARED.format(point="/a\\040b/c", kind="nfs", options="local_lock=all")
    table = mounts(tmp_path, outer, inner)
    check_locks_are_shared(Path("/a b/other"), table)
    with pytest.raises(InputError):
        check_locks_are_shared(Path("/a b/c/results"), table)
    hiding = SHARED.format(point="/a\\040b/c", kind="ext4", options="")
    check_locks_are_shared(Path("/a b/c/results"), mounts(tmp_path, outer, inner, hiding))


def test_this_machines_own_table_can_be_read(tmp_path: Path) -> None:
    check_locks_are_shared(tmp_path)
    check_locks_are_shared(tmp_path, tmp_path / "no-such-table")
