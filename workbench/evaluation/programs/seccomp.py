"""System calls that a confined program does not get: a filter in classic BPF, see seccomp(2).

Stands alone, without imports from the workbench: the jail runs it under `python -I -S`. What is
refused here is refused a second time by namespaces, limits and missing capabilities; the filter
also keeps a program from parts of the kernel where those have had holes.
"""

import ctypes
import errno
import os

# (x86_64, aarch64), from the kernel's syscall tables; None where there is no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # New processes and threads.
    "clone": (56, 220), "clone3": (435, 435), "fork": (57, None), "vfork": (58, None),
    # Other processes.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "kcmp": (312, 272),
    # Network.
    "socket": (41, 198), "socketpair": (53, 199),
    # Memory that no limit counts: it outlives its mapping.
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # Namespaces and mounts.
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # Settings of the process that keep it confined.
    "prctl": (157, 167), "seccomp": (317, 277),
    # Parts of the kernel that no program here needs.
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104),
}  # fmt: skip
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH_*
_X32 = 0x40000000  # calls of x86_64's other ABI have this bit

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE = 0x00050000 | errno.EPERM
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def knows(machine: str) -> bool:
    """Whether there is a filter for this kind of processor."""
    return machine in _MACHINES


def refuse_system_calls(libc: ctypes.CDLL) -> None:
    """Install the filter, for this process and what it turns into. Needs no_new_privs.

    Raises:
        OSError: the kernel has no seccomp.
    """
    column, arch = _MACHINES[os.uname().machine]
    numbers = [both[column] for both in _REFUSED.values()]
    refused = [number for number in numbers if number is not None]
    lines = [
        (_LOAD, 0, 0, 4),  # struct seccomp_data: nr at 0, arch at 4
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]
    tests = [(_JUMP_AT_LEAST, _X32), *((_JUMP_EQUAL, number) for number in refused)]
    # Each test jumps over those after it, and over the line that allows.
    lines += [(code, len(tests) - at, 0, value) for at, (code, value) in enumerate(tests)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    block = (_Instruction * len(lines))(*(_Instruction(*line) for line in lines))
    program = _Program(len(lines), block)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp filter")
