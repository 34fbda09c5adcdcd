"""Jobs in the jail, from outside: started, let in, and asked how they ended."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from workbench.errors import WorkbenchError
from workbench.evaluation.programs import exchange

_JAIL = Path(__file__).with_name("jail.py")
_EXCHANGE = Path(exchange.__file__).read_text(encoding="utf-8")
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib")
_FILES = ("/etc/ld.so.cache", "/dev/null", "/dev/urandom")
_PACKAGES = "/packages"
FOLDER = "/work"
_NOBODY = 65534
_PATIENCE_S = 20.0  # beyond a program's own time: for the guard, on a busy machine
PRINTED = 4096  # bytes of output that are looked at: the last ones


class CannotConfine(WorkbenchError):
    """This machine cannot confine a program, so none is run; the message names what is missing."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(
            "programs that a model wrote are not run here, because this machine cannot confine "
            f"them: {'; '.join(reasons)}. Needed are Linux 5.12 or newer and namespaces for user, "
            "mount, process, network and IPC: run as root, or set user.max_user_namespaces above 0 "
            "and kernel.apparmor_restrict_unprivileged_userns to 0, or start the container with "
            "--privileged."
        )


@dataclass(frozen=True)
class Limits:
    """What a program may use. It gets one process, one thread and no network whatever they are."""

    wall_seconds: float = 10.0
    cpu_seconds: int = 10
    memory_bytes: int = 2**30
    file_bytes: int = 2**24
    """The largest file it can write, its output among them, and all of its folder."""


@dataclass(frozen=True)
class Ended:
    """How a job ended."""

    exit_code: int
    """Below zero: minus the signal that killed it."""
    timed_out: bool


@dataclass(frozen=True)
class Job:
    """One process in the jail."""

    control: IO[bytes]
    """What its guard waits for; where it closes, the guard kills the job."""
    reports: IO[bytes]
    output: IO[bytes]

    def let_in(self) -> None:
        """Map its user ids, with which it begins.

        Raises:
            CannotConfine: they cannot be mapped, or it has not come so far.
        """
        _map_ids(self._report()["map"])
        with suppress(BrokenPipeError):  # it has ended: its report says why, or is missing
            self.control.write(b"g")

    def ended(self) -> Ended:
        """Wait for its end.

        Raises:
            CannotConfine: a step of the confinement failed; nothing was run.
        """
        return Ended(**self._report())

    def printed(self) -> str:
        """The last 4 KiB of what it has printed so far."""
        fd = self.output.fileno()
        start = max(0, os.fstat(fd).st_size - PRINTED)
        return os.pread(fd, PRINTED, start).decode(errors="replace")

    def _report(self) -> dict[str, Any]:
        line = self.reports.readline() or b'{"error": "the jail ended before it said how"}'
        document: dict[str, Any] = json.loads(line)
        if "error" in document:
            raise CannotConfine(document["error"])
        return document


@contextmanager
def jailed(
    limits: Limits, packages: tuple[str, ...], work: Sequence[tuple[str, str]]
) -> Iterator[list[Job]]:
    """Run (role, source) beside each other, each confined by itself; `exchange.py` has the roles.

    Each writes to the next through a pipe, and the last to the first. What still runs in the end
    is killed.

    Raises:
        CannotConfine: a step of the confinement failed; nothing was run.
    """
    with ExitStack() as ours, ExitStack() as controls:
        jobs, specs = [], []
        with ExitStack() as theirs:
            between = [_pipe(theirs, theirs) for _ in work]
            for place, (role, source) in enumerate(work):
                waits, control = _pipe(theirs, controls)
                reports, tells = _pipe(ours, theirs)
                jobs.append(Job(control, reports, ours.enter_context(tempfile.TemporaryFile())))
                ends = {
                    "source": theirs.enter_context(_read_only(source)), "output": jobs[-1].output,
                    "control": waits, "report": tells,
                    "read": between[place - 1][0], "write": between[place][1],
                }  # fmt: skip
                folder = ours.enter_context(tempfile.TemporaryDirectory(prefix="workbench-jail-"))
                specs.append(_spec(limits, packages, folder, role, ends))
            process = _start(specs)
        try:
            for job in jobs:
                job.let_in()
            yield jobs
        finally:
            controls.close()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """Both ends of a pipe, each closed by its stack."""
    read_end, write_end = os.pipe()
    return (
        reader.enter_context(open(read_end, "rb")),
        writer.enter_context(open(write_end, "wb", buffering=0)),
    )


def _read_only(source: str) -> IO[bytes]:
    """A file with a source, opened to be read: a program cannot change it."""
    with tempfile.NamedTemporaryFile() as written:
        written.write(source.encode("utf-8", errors="surrogatepass"))
        written.flush()
        return open(written.name, "rb")


def _start(specs: list[dict[str, Any]]) -> subprocess.Popen[bytes]:
    fds = {fd for spec in specs for name, fd in spec.items() if name.endswith("_fd")}
    return subprocess.Popen(
        [_python(), "-I", "-S", "-B", str(_JAIL), json.dumps(specs)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        pass_fds=sorted(fds),
        start_new_session=True,
    )


def _spec(
    limits: Limits, packages: tuple[str, ...], folder: str, role: str, ends: dict[str, IO[bytes]]
) -> dict[str, Any]:
    """What `jail.py` has to know of one job."""
    binds, links = _places(packages)
    flags = ["-I", "-S", "-B", "-X", "utf8"]
    return {
        "mountpoint": folder,
        "binds": binds,
        "links": links,
        "folder": FOLDER,
        "folder_bytes": limits.file_bytes,
        "privileged": os.geteuid() == 0,
        "command": [_python(), *flags, "-c", _EXCHANGE, role, _PACKAGES],
        # There are no threads: a linear-algebra library must not try to start any.
        "environment": {"OPENBLAS_NUM_THREADS": "1"} if packages else {},
        **{f"{name}_fd": end.fileno() for name, end in ends.items()},
        **asdict(limits),
    }


def _places(packages: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(source, place) of what programs may read, and (target, place) of links: Python and the
    libraries that it loads."""
    prefix = os.path.realpath(sys.base_prefix)
    binds, links = [(prefix, prefix)], []
    for library in _LIBRARIES:
        if library.startswith(prefix + "/") or not os.path.exists(library):
            continue
        if os.path.islink(library):
            links.append((os.readlink(library), library))
        else:
            binds.append((library, library))
    binds += [(path, path) for path in _FILES if os.path.exists(path)]
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise WorkbenchError(f"programs need the package {name}, which is not installed here.")
        folder = Path(spec.origin).parent
        for path in (folder, folder.with_name(f"{name}.libs")):  # where wheels put libraries
            if path.is_dir():
                binds.append((str(path), f"{_PACKAGES}/{path.name}"))
    return binds, links


def _python() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _map_ids(pid: int) -> None:
    """Map the jail's user ids to those outside."""
    folder = Path(f"/proc/{pid}")
    try:
        if os.geteuid() == 0:
            # Root builds the place, and nobody, a real other user, runs the program.
            for name in ("uid_map", "gid_map"):
                (folder / name).write_text(f"0 0 1\n{_NOBODY} {_NOBODY} 1\n")
            return
        (folder / "uid_map").write_text(f"{_NOBODY} {os.geteuid()} 1\n")
        (folder / "setgroups").write_text("deny")
        (folder / "gid_map").write_text(f"{_NOBODY} {os.getegid()} 1\n")
    except OSError as error:
        raise CannotConfine(f"users cannot be mapped: {error.strerror}") from None
