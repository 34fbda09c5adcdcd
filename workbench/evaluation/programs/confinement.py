"""Running a program that nobody has read, where it can do no harm, or not at all.

What confines it is in `jail.py`. Nothing is taken for granted: before the first program, a probe
tries from inside what must not be possible, and where any of it is, no program is run.

A program passes when it has run to its end: it has then read a token that only its pipe holds,
and handed it back. Neither an exit status nor anything it prints counts. The program and its
tests share one process, as in the benchmarks' own harnesses: code that looks for the pipe could
hand the token back early, and code whose results compare equal to everything passes honestly.
"""

import importlib.util
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from workbench.errors import WorkbenchError
from workbench.evaluation.programs import seccomp
from workbench.evaluation.programs.probe import PROBE

_JAIL = Path(__file__).with_name("jail.py")
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib")
_FILES = ("/etc/ld.so.cache", "/dev/null", "/dev/urandom")
_PACKAGES = "/packages"
FOLDER = "/work"
_NOBODY = 65534
_PATIENCE_S = 20.0  # beyond a program's own time: for the guard, on a busy machine

_RUNNER = f"""
import os, sys, types
sys.path.append({_PACKAGES!r})
with open(0, encoding="utf-8") as file:
    source = file.read()
module = types.ModuleType("program")
sys.modules["program"] = module
try:
    exec(compile(source, "program", "exec"), module.__dict__)
except BaseException:
    sys.stdout.flush()  # what it printed stands before why it failed
    raise
os.write(4, os.read(3, 64))
sys.stdout.flush()
os._exit(0)
"""


class CannotConfine(WorkbenchError):
    """This machine cannot confine a program, so none is run; the message names what is missing."""


@dataclass(frozen=True)
class Limits:
    """What a program may use. It gets one process, one thread and no network whatever they are."""

    wall_seconds: float = 10.0
    cpu_seconds: int = 10
    memory_bytes: int = 2**30
    file_bytes: int = 2**24
    """The largest file it can write, its output among them, and all of its folder."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended."""

    passed: bool
    """It ran to its end without an exception."""
    why: str
    """passed, timed out, killed by a signal, exited, or the last line of its output."""
    output: str
    """The last 4 KiB of what it printed."""


@dataclass(frozen=True)
class Confinement:
    """How to confine on this machine. Made once, by `confine`."""

    limits: Limits = field(default_factory=Limits)
    packages: tuple[str, ...] = ()
    """Installed packages that programs may import beside the standard library."""

    def run(self, source: str) -> Outcome:
        """Run a program in a confined process of its own. Safe to call from several threads.

        Raises:
            CannotConfine: a step of the confinement failed; the program was not started.
        """
        return _run(self, source)


def confine(limits: Limits | None = None, *, packages: Sequence[str] = ()) -> Confinement:
    """Return a confinement that a probe has tried.

    Raises:
        CannotConfine: with what is missing here.
    """
    confinement = Confinement(limits or Limits(), tuple(packages))
    if sys.platform != "linux":
        raise CannotConfine(_refusal([f"{sys.platform} has no namespaces; Linux 5.12 has"]))
    if not seccomp.knows(platform.machine()):
        raise CannotConfine(_refusal([f"no filter of system calls for {platform.machine()}"]))
    outcome = _run(confinement, PROBE)
    if outcome.passed:
        return confinement
    marked = [line for line in outcome.output.splitlines() if line.startswith("possible: ")]
    raise CannotConfine(_refusal(marked or [f"the probe {outcome.why}: {outcome.output[-500:]}"]))


def _refusal(reasons: list[str]) -> str:
    return (
        "programs that a model wrote are not run here, because this machine cannot confine them: "
        f"{'; '.join(reasons)}. Needed are Linux 5.12 or newer and namespaces for user, mount, "
        "process, network and IPC: run as root, or set user.max_user_namespaces above 0 and "
        "kernel.apparmor_restrict_unprivileged_userns to 0, or start the container with "
        "--privileged."
    )


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
            raise CannotConfine(f"programs need the package {name}, which is not installed here.")
        folder = Path(spec.origin).parent
        for path in (folder, folder.with_name(f"{name}.libs")):  # where wheels put libraries
            if path.is_dir():
                binds.append((str(path), f"{_PACKAGES}/{path.name}"))
    return binds, links


def _python() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _run(confinement: Confinement, source: str) -> Outcome:
    with ExitStack() as stack:
        mountpoint = stack.enter_context(tempfile.TemporaryDirectory(prefix="workbench-jail-"))
        # The program gets the file read-only: not this one, which wrote it.
        written = stack.enter_context(tempfile.NamedTemporaryFile())
        written.write(source.encode("utf-8", errors="surrogatepass"))
        written.flush()
        given = stack.enter_context(open(written.name, "rb"))
        output = stack.enter_context(tempfile.TemporaryFile())
        report, verdict = _talk(confinement, mountpoint, given, output)
        if "error" in report:
            raise CannotConfine(_refusal([report["error"]]))
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - 4096))
        printed = output.read().decode(errors="replace")
    return Outcome(verdict, _why(report, verdict, printed), printed)


def _talk(
    confinement: Confinement, mountpoint: str, given: IO[bytes], output: IO[bytes]
) -> tuple[dict[str, Any], bool]:
    """Start the jail, map its user ids, and return its report and whether the program passed."""
    token = secrets.token_hex(16).encode()
    pipes = {name: os.pipe() for name in ("control", "report", "token", "verdict")}
    ours = [pipes["control"][1], pipes["report"][0], pipes["verdict"][0]]
    theirs = [pipes["control"][0], pipes["report"][1], pipes["token"][0], pipes["verdict"][1]]
    os.write(pipes["token"][1], token)
    os.close(pipes["token"][1])
    spec = _spec(confinement, mountpoint, *theirs)
    try:
        try:
            process = subprocess.Popen(
                [_python(), "-I", "-S", "-B", str(_JAIL), json.dumps(spec)],
                stdin=given,
                stdout=output,
                stderr=output,
                env={},
                pass_fds=theirs,
                start_new_session=True,
            )
        finally:
            for fd in theirs:
                os.close(fd)
        try:
            report = _follow(process.pid, control=ours[0], report=ours[1])
            return report, "error" not in report and _read_now(ours[2]) == token
        finally:
            os.close(ours.pop(0))  # the guard sees it close, and kills what still runs
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
    finally:
        for fd in ours:
            os.close(fd)


def _follow(pid: int, *, control: int, report: int) -> dict[str, Any]:
    """The jail's last report: what failed, or how the program ended."""
    with open(report, "rb", closefd=False) as reports:
        line = _line(reports)
        if line.get("step") != "map":
            return line
        problem = _map_ids(pid)
        if problem is not None:
            return {"error": problem}
        with suppress(BrokenPipeError):  # it has ended: its report says why, or is missing
            os.write(control, b"g")
        return _line(reports)


def _read_now(fd: int) -> bytes:
    """Return what is in a pipe, without waiting for more."""
    os.set_blocking(fd, False)
    try:
        return os.read(fd, 64)
    except BlockingIOError:
        return b""


def _line(reports: IO[bytes]) -> dict[str, Any]:
    line = reports.readline()
    if not line:
        return {"error": "the jail ended before it said how"}
    document: dict[str, Any] = json.loads(line)
    return document


def _spec(
    confinement: Confinement, mountpoint: str, control: int, report: int, token: int, verdict: int
) -> dict[str, Any]:
    binds, links = _places(confinement.packages)
    return {
        "mountpoint": mountpoint,
        "binds": binds,
        "links": links,
        "folder": FOLDER,
        "folder_bytes": confinement.limits.file_bytes,
        "privileged": os.geteuid() == 0,
        "command": [_python(), "-I", "-S", "-B", "-X", "utf8", "-c", _RUNNER],
        # There are no threads: a linear-algebra library must not try to start any.
        "environment": {"OPENBLAS_NUM_THREADS": "1"} if confinement.packages else {},
        "control_fd": control,
        "report_fd": report,
        "token_fd": token,
        "verdict_fd": verdict,
        **asdict(confinement.limits),
    }


def _map_ids(pid: int) -> str | None:
    """Map the jail's user ids to those outside, and return what went wrong, or None."""
    folder = Path(f"/proc/{pid}")
    try:
        if os.geteuid() == 0:
            # Root builds the place, and nobody, a real other user, runs the program.
            for name in ("uid_map", "gid_map"):
                (folder / name).write_text(f"0 0 1\n{_NOBODY} {_NOBODY} 1\n")
            return None
        (folder / "uid_map").write_text(f"{_NOBODY} {os.geteuid()} 1\n")
        (folder / "setgroups").write_text("deny")
        (folder / "gid_map").write_text(f"{_NOBODY} {os.getegid()} 1\n")
        return None
    except OSError as error:
        return f"users cannot be mapped: {error.strerror}"


def _why(report: dict[str, Any], passed: bool, printed: str) -> str:
    if passed:
        return "passed"
    if report["timed_out"]:
        return "timed out"
    code = report["exit_code"]
    if code < 0:
        return f"killed by signal {-code}"
    lines = printed.strip().splitlines()
    if code == 1 and lines:
        return lines[-1][:200]
    return f"exited with status {code} before its end"
