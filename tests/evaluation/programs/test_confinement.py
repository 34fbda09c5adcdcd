"""Hostile programs do no harm. That none passes its tests either is in `test_verdicts.py`."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from workbench.errors import WorkbenchError
from workbench.evaluation.programs.confinement import (
    CannotConfine,
    Confinement,
    Limits,
    Outcome,
    confine,
)


def run(confinement: Confinement, source: str) -> Outcome:
    return confinement.run(textwrap.dedent(source))


def test_a_program_that_runs_to_its_end_passes(confinement: Confinement) -> None:
    assert run(confinement, "assert 1 + 1 == 2").passed
    outcome = run(confinement, "print('hello')\nassert 1 + 1 == 3, 'no'")
    assert not outcome.passed
    assert outcome.why == "AssertionError: no"
    assert outcome.output.startswith("hello\n")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import os; os._exit(7)", "exited with status 7 before its end"),
        ("exit()", "name 'exit' is not defined"),
        ("def f(:", "SyntaxError"),
        ("import ctypes; ctypes.string_at(0)", "killed by signal 11"),
        ("import os; os.abort()", "killed by signal"),
        ("f = lambda: f()\nf()", "RecursionError"),
    ],
)
def test_how_a_program_failed_is_said(confinement: Confinement, source: str, why: str) -> None:
    outcome = confinement.run(source)
    assert not outcome.passed
    assert why in outcome.why + outcome.output


def test_an_endless_loop_is_stopped_by_the_processors_time(confinement: Confinement) -> None:
    began = time.monotonic()
    outcome = run(confinement, "while True: pass")
    assert not outcome.passed
    assert outcome.why in ("killed by signal 9", "timed out")
    assert time.monotonic() - began < 20


def test_a_sleeper_is_stopped_by_the_clock(confinement: Confinement) -> None:
    quick = replace(confinement, limits=Limits(wall_seconds=1))
    assert run(quick, "import time; time.sleep(1000)").why == "timed out"


def test_signals_do_not_save_a_program(confinement: Confinement) -> None:
    quick = replace(confinement, limits=Limits(wall_seconds=1, cpu_seconds=1))
    source = """
        import os, signal, time
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            time.sleep(0.1)
    """
    assert run(quick, source).why == "timed out"


def test_a_fork_bomb_has_no_second_process(confinement: Confinement) -> None:
    source = """
        import os
        while True:
            os.fork()
    """
    assert "PermissionError" in run(confinement, source).why
    source = """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
    """
    assert "PermissionError" in run(confinement, source).why
    source = """
        import threading
        while True:
            threading.Thread(target=lambda: None).start()
    """
    assert "can't start new thread" in run(confinement, source).why


def test_ten_gigabytes_of_memory_are_refused(confinement: Confinement) -> None:
    free = psutil.virtual_memory().available
    assert run(confinement, "x = bytearray(10 * 2**30)").why == "MemoryError"
    source = """
        import mmap
        mapped = []
        while True:
            mapped.append(mmap.mmap(-1, 2**26))
            mapped[-1].write(b"x" * 2**26)
    """
    assert not run(confinement, source).passed
    # What a mapping leaves behind is not counted as memory of the process.
    for leave in ("libc.shmget(0, 2**28, 0o1600)", "libc.memfd_create(b'x', 0)"):
        source = f"""
            import ctypes
            libc = ctypes.CDLL(None)
            assert {leave} != -1
        """
        assert run(confinement, source).why == "AssertionError"
    # Other processes of the machine come and go; ten gigabytes would show all the same.
    assert psutil.virtual_memory().available > free - 4 * 2**30


def test_nothing_is_written_outside_the_folder(confinement: Confinement, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    source = f"""
        import os, sys
        written = []
        places = [{str(tmp_path)!r}, "/", "/tmp", "/dev", "/etc", "/usr/lib", sys.prefix,
                  os.path.dirname(os.__file__), "..", "/dev/shm", "/var/tmp"]
        for place in places:
            for make in (lambda p: open(p, "w"), os.mkdir, lambda p: os.symlink("/", p)):
                try:
                    make(os.path.join(place, "harm"))
                    written.append(place)
                except OSError:
                    pass
        for path in (os.__file__, sys.executable):
            for harm in (lambda p: open(p, "a"), os.remove, lambda p: os.chmod(p, 0o777)):
                try:
                    harm(path)
                    written.append(path)
                except OSError:
                    pass
        open("mine", "w").write("its own folder is its own")
        assert os.listdir() == ["mine"]
        assert not written, written
    """
    outcome = run(confinement, source)
    assert outcome.passed, outcome
    assert list(tmp_path.iterdir()) == []
    assert run(confinement, "import os; assert os.listdir() == []").passed, "a new one each time"


def test_its_folder_and_its_output_have_an_end(confinement: Confinement) -> None:
    source = """
        for name in range(1000):
            with open(f"file{name}", "wb") as file:
                file.write(b"x" * 2**20)
    """
    assert "No space left on device" in run(confinement, source).why
    # Where the output is full, there is no room to say why either.
    outcome = run(confinement, "while True: print('x' * 10_000)")
    assert not outcome.passed
    assert len(outcome.output) <= 4096


def test_the_environment_is_empty(
    confinement: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_SECRET", "sesame")
    source = """
        import ctypes, os
        # LC_CTYPE is Python's own doing, in a process that was given no locale.
        assert not set(os.environ) - {"LC_CTYPE"}, os.environ
        assert not os.path.exists("/proc/1/environ")
        assert not os.path.exists("/proc/self")
    """
    outcome = run(confinement, source)
    assert outcome.passed, outcome


def test_other_files_cannot_be_read(confinement: Confinement, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sesame")
    for path in ("/etc/shadow", "/etc/passwd", tmp_path / "secret", Path(__file__), "/proc/1/maps"):
        assert "FileNotFoundError" in run(confinement, f"open({str(path)!r})").why


def test_there_is_no_network(confinement: Confinement) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for family in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"):
            source = f"import socket; socket.socket(socket.{family}, socket.SOCK_DGRAM)"
            assert "PermissionError" in run(confinement, source).why
        source = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=1)"
        assert not run(confinement, source).passed


def test_other_processes_cannot_be_seen_or_killed(confinement: Confinement) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        source = f"""
            import os, signal
            reached = []
            for pid in [{bystander.pid}, {os.getpid()}, *range(2, 5000)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    reached.append(pid)
                except OSError:
                    pass
            for group in range(2, 200):
                try:
                    os.killpg(group, signal.SIGKILL)
                    reached.append(group)
                except OSError:
                    pass
            try:
                os.kill(-1, signal.SIGKILL)  # everybody
            except OSError:
                pass
            assert not reached, reached
        """
        outcome = run(confinement, source)
        assert outcome.passed, outcome
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_program_has_no_rights_and_gets_none(confinement: Confinement) -> None:
    source = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        assert os.getresuid() == os.getresgid() == (65534,) * 3
        for call in (lambda: os.setuid(0), lambda: os.setgroups([]), lambda: os.chroot(".")):
            try:
                call()
                raise AssertionError(call)
            except PermissionError:
                pass
        assert libc.unshare(0x10000000) == -1
        assert libc.mount(b"proc", b"/work", b"proc", 0, None) == -1
        assert libc.ptrace(0, 0, 0, 0) == -1
        assert libc.prctl(1, 0, 0, 0, 0) == -1  # die with the guard: not to be undone
    """
    outcome = run(confinement, source)
    assert outcome.passed, outcome


def test_nothing_is_left_running(confinement: Confinement) -> None:
    quick = replace(confinement, limits=Limits(wall_seconds=1))
    assert not run(quick, "import os, time; os.setsid; time.sleep(1000)").passed
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "jail.py" in " ".join(child.cmdline())]


def test_the_program_dies_with_whoever_asked_for_it(
    confinement: Confinement, tmp_path: Path
) -> None:
    """Even a SIGKILL of the workbench leaves no program behind."""
    script = """
        from workbench.evaluation.programs.confinement import Confinement, Limits
        print("started", flush=True)
        Confinement(Limits(wall_seconds=600)).run("import time; time.sleep(600)")
    """
    asker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE
    )
    assert asker.stdout is not None
    asker.stdout.readline()
    deadline = time.monotonic() + 30
    family: list[psutil.Process] = []
    while len(family) < 3 and time.monotonic() < deadline:  # the jail, the guard, and the program
        family = psutil.Process(asker.pid).children(recursive=True)
        time.sleep(0.05)
    assert len(family) == 3
    asker.send_signal(signal.SIGKILL)
    asker.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive


def test_programs_run_beside_each_other(confinement: Confinement) -> None:
    outcomes: list[Outcome] = []
    threads = [
        threading.Thread(target=lambda n=n: outcomes.append(confinement.run(f"print({n})")))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(outcome.passed for outcome in outcomes)
    assert sorted(outcome.output for outcome in outcomes) == ["0\n", "1\n", "2\n", "3\n"]


def test_packages_can_be_let_in(confinement: Confinement) -> None:
    source = "import numpy; assert numpy.eye(3).sum() == 3"
    assert "No module named 'numpy'" in run(confinement, source).why
    assert run(confine(confinement.limits, packages=["numpy"]), source).passed
    with pytest.raises(WorkbenchError, match="need the package no_such_package"):
        confine(packages=["no_such_package"])


def test_a_machine_without_namespaces_runs_nothing(tmp_path: Path) -> None:
    """In a namespace that may make no further ones, the probe fails, and says what is missing."""
    script = """
        from workbench.evaluation.programs.confinement import CannotConfine, confine
        try:
            confine()
        except CannotConfine as refused:
            print(refused)
    """
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, sys.executable,
         textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    if "unshare" in done.stderr or "max_user_namespaces" in done.stderr:
        pytest.skip(f"no namespace to try it in: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("programs that a model wrote are not run here")
    assert "make namespaces" in done.stdout
    assert "user.max_user_namespaces" in done.stdout


def test_a_probe_that_succeeds_in_what_it_must_not_is_a_refusal(
    confinement: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.evaluation.programs import confinement as module

    leaky = module.PROBE.replace('"/etc/passwd"', "os.__file__")
    monkeypatch.setattr(module, "PROBE", leaky)
    with pytest.raises(CannotConfine, match="possible: seeing other files"):
        confine()
