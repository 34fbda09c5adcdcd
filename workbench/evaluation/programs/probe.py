"""What is run before any other program, to see whether it is confined.

It tries from inside what must not be possible, and passes only where none of it is.
"""

PROBE = """
import ctypes, json, os, resource, socket, sys

possible = []

def impossible(what, attempt):
    try:
        attempt()
    except (OSError, RuntimeError, ValueError):
        return
    possible.append(what)

def must(what, holds):
    if not holds:
        possible.append(what)

must("running as a user with rights", os.getuid() == os.geteuid() == os.getgid() == 65534)
must("having groups", set(os.getgroups()) <= {65534})
must("seeing other processes", os.getpid() == 1 and os.getppid() == 0)
must("seeing the environment", not set(os.environ) - {"OPENBLAS_NUM_THREADS", "LC_CTYPE"})
must("seeing other files", not os.path.exists("/home") and not os.path.exists("/etc/passwd"))
must("working in another folder", os.getcwd() == "/work" and os.listdir() == [])
impossible("opening a socket", lambda: socket.socket())
impossible("starting a process", os.fork)
impossible("starting a thread", lambda: __import__("threading").Thread(target=int).start())
for place in ("/", os.path.dirname(os.__file__), "/dev"):
    impossible(f"writing to {place}", lambda: open(place + "/probe", "w"))
impossible("becoming root", lambda: os.setuid(0))
impossible("raising a limit", lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)))
for name in ("AS", "CPU", "FSIZE", "NOFILE", "CORE"):
    limit = getattr(resource, "RLIMIT_" + name)
    must(f"having no limit of {name}", resource.getrlimit(limit)[1] != resource.RLIM_INFINITY)
libc = ctypes.CDLL(None, use_errno=True)
must("making namespaces", libc.unshare(0x10000000) == -1)
must("mounting", libc.mount(b"none", b"/work", b"tmpfs", 0, None) == -1)
must("allocating without a limit", libc.shmget(0, 4096, 0o1600) == -1)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
sets = (ctypes.c_uint32 * 6)()
must("having capabilities", libc.capget(header, sets) == 0 and not any(sets))
with open("probe", "w") as file:
    file.write("its own folder is writable")
os.remove("probe")
for what in possible:
    print("possible: " + what)
sys.stdout.flush()
assert not possible
"""
