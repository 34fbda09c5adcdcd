"""The jail: makes confined places, runs one program in each, and reports how they ended.

Started by `confinement.py` as `python -I -S jail.py SPECS`, and stands alone: nothing of the
workbench is importable here. SPECS is JSON, see `_spec` there. For each of them it forks a guard,
outside the place, whose child is the program: process 1 of namespaces of its own (user, mount,
process, network, IPC, host name, cgroup), with a read-only Python, an empty folder, no
capabilities, limits, and a filter of system calls. The guard kills it when its time is over, or
when whoever asked is gone.
"""

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import seccomp

Spec = dict[str, Any]
LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
NAMESPACES = (
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET
    | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
)  # fmt: skip
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
ATTR_RDONLY, ATTR_NOSUID = 1, 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 24, 38, 47
LAST_CAPABILITY = 63
CAPABILITY_VERSION_3 = 0x20080522
NOBODY = 65534
ERROR_FD = 5


def check(result: int, what: str) -> None:
    """Raise for a C function that failed: returns -1 and sets errno."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    encoded = [
        None if argument is None else os.fsencode(argument)
        for argument in (source, target, kind, data)
    ]
    check(LIBC.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]), f"mount {target}")


class MountAttr(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")
    )


def make_read_only(path: str) -> None:
    """Make a mount and all below it read-only."""
    attr = MountAttr(ATTR_RDONLY | ATTR_NOSUID, 0, 0, 0)
    size = ctypes.sizeof(attr)
    result = LIBC.syscall(
        MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), AT_RECURSIVE, ctypes.byref(attr), size
    )
    check(result, f"make {path} read-only (needs Linux 5.12)")


def build_place(spec: Spec) -> None:
    """Enter a file system of its own: what is bound, read-only; an empty folder to write to."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    root = spec["mountpoint"]
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
    for source, target in spec["binds"]:
        inside = root + target
        if os.path.isdir(source):
            os.makedirs(inside, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            open(inside, "w").close()
        mount(source, inside, None, MS_BIND | MS_REC)
    for target, link in spec["links"]:
        os.makedirs(os.path.dirname(root + link), exist_ok=True)
        os.symlink(target, root + link)
    os.mkdir(root + spec["folder"])
    make_read_only(root)
    size = f"mode=0700,size={spec['folder_bytes']},nr_inodes=1024"
    mount("tmpfs", root + spec["folder"], "tmpfs", MS_NOSUID | MS_NODEV, size)
    os.chown(root + spec["folder"], NOBODY, NOBODY)
    os.chdir(root)
    check(LIBC.syscall(PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    check(LIBC.umount2(b".", MNT_DETACH), "leave the old root")
    os.chdir("/")


def drop_privileges(spec: Spec) -> None:
    """Become the user nobody, without a way back."""
    if spec["privileged"]:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
    check(LIBC.prctl(PR_CAP_AMBIENT, 4, 0, 0, 0), "clear ambient capabilities")
    for capability in range(LAST_CAPABILITY + 1):
        if LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            break  # the kernel has no more of them
    if spec["privileged"]:
        os.setresuid(NOBODY, NOBODY, NOBODY)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    check(LIBC.capset(header, (ctypes.c_uint32 * 6)()), "drop capabilities")
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def limit(spec: Spec) -> None:
    limits = {
        "RLIMIT_AS": spec["memory_bytes"],
        "RLIMIT_CPU": spec["cpu_seconds"],
        "RLIMIT_FSIZE": spec["file_bytes"],
        "RLIMIT_NOFILE": 64,
        "RLIMIT_NPROC": 1,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_STACK": 16 * 2**20,
    }
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))


def hand_over(spec: Spec, error_fd: int) -> None:
    """Number the descriptors: 0 source, 1 and 2 output, 3 and 4 of pipes; 5 closes with exec."""
    fds = [spec[name] for name in ("source_fd", "output_fd", "output_fd", "read_fd", "write_fd")]
    # First out of the way of each other.
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in (*fds, error_fd)]
    for number, fd in enumerate(moved):
        os.dup2(fd, number, inheritable=number != ERROR_FD)
    os.closerange(ERROR_FD + 1, 4096)


def become_program(spec: Spec, error_fd: int) -> None:
    """In the child, process 1 of its namespace: confine this process and become the program."""
    os.setsid()
    hand_over(spec, error_fd)
    LIBC.sethostname(b"jail", 4)
    build_place(spec)
    os.chdir(spec["folder"])
    drop_privileges(spec)
    # The kernel forgets the signal at the parent's death when privileges change: set it now.
    check(LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "die with the guard")
    limit(spec)
    seccomp.refuse_system_calls(LIBC)
    os.execve(spec["command"][0], spec["command"], spec["environment"])


def guard(child: int, spec: Spec) -> dict[str, Any]:
    """Wait for the child's end, and kill it when its time is over or nobody waits any more."""
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(spec["control_fd"], select.POLLIN | select.POLLHUP)
    events = {fd for fd, _ in poll.poll(spec["wall_seconds"] * 1000)}
    timed_out = ended not in events
    if timed_out:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return {"exit_code": os.waitstatus_to_exitcode(status), "timed_out": timed_out}


def confine(spec: Spec) -> None:
    """Run one program to its end, and report it."""

    def report(**what: Any) -> None:
        os.write(spec["report_fd"], (json.dumps(what) + "\n").encode())

    try:
        check(LIBC.unshare(NAMESPACES), "make namespaces")
        report(map=os.getpid())  # only a process outside can map the user ids
        if os.read(spec["control_fd"], 1) != b"g":
            return
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            try:
                become_program(spec, write_end)
            except OSError as error:
                os.write(ERROR_FD, str(error).encode())
            finally:
                os._exit(70)
        for fd in (write_end, spec["read_fd"], spec["write_fd"]):
            os.close(fd)
        result = guard(child, spec)
        failure = os.read(read_end, 4096).decode(errors="replace")
        report(**({"error": failure} if failure else result))
    except OSError as error:
        report(error=str(error))


def main() -> None:
    specs = json.loads(sys.argv[1])
    fds = [{value for name, value in spec.items() if name.endswith("_fd")} for spec in specs]
    for spec, own in zip(specs, fds, strict=True):
        if os.fork() == 0:
            # A pipe ends for its reader once nobody else holds its other end.
            for fd in set().union(*fds) - own:
                os.close(fd)
            try:
                confine(spec)
            finally:
                os._exit(0)
    os.closerange(3, 4096)
    for _ in specs:
        os.wait()


if __name__ == "__main__":
    main()
