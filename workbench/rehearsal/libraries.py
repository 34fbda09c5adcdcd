"""The two small C libraries that a rehearsal's process needs, built in a folder of their own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from workbench.errors import InputError

PRELOADED = "WORKBENCH_REHEARSAL_LIBRARY"
"""The environment variable that tells a rehearsal's process which library it was given."""
_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-shared", "-fPIC", "-O2", "-o")


@dataclass(frozen=True)
class Libraries:
    """Where the libraries are."""

    preload: Path
    driver_folder: Path

    def environment(self, outside: Mapping[str, str]) -> dict[str, str]:
        """The environment of a rehearsal's process, made from that of this one.

        Real GPUs are hidden: fake tensors ask torch whether there are any.
        """
        paths = [str(self.driver_folder), outside.get("LD_LIBRARY_PATH", "")]
        preloads = [str(self.preload), outside.get("LD_PRELOAD", "")]
        return {
            **outside,
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths)),
            "LD_PRELOAD": " ".join(filter(None, preloads)),
            PRELOADED: str(self.preload),
            "CUDA_VISIBLE_DEVICES": "",
            "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
            "LOCAL_RANK": "0",
        }


def compiler(outside: Mapping[str, str] = os.environ) -> str:
    """The path of a C compiler: that of the variable CC, else the first of cc, gcc and clang.

    Raises:
        InputError: there is none.
    """
    wanted = outside.get("CC", "").split()[:1]
    found = [shutil.which(name, path=outside.get("PATH")) for name in wanted or _COMPILERS]
    for path in found:
        if path is not None:
            return path
    names = f"CC = {wanted[0]}" if wanted else ", ".join(_COMPILERS)
    raise InputError(
        f"a rehearsal needs a C compiler, and there is none here ({names}). Install one, such as "
        "the system's package gcc, or name one in the variable CC."
    )


@contextmanager
def built_libraries() -> Iterator[Libraries]:
    """Build both into a private folder, which goes away at the end.

    Nothing is loaded into this process.

    Raises:
        InputError: there is no C compiler, or it cannot build them.
    """
    command = compiler()
    with tempfile.TemporaryDirectory(prefix="workbench-rehearsal-") as name:
        folder = Path(name)
        libraries = Libraries(folder / "device_count.so", folder / "driver")
        libraries.driver_folder.mkdir()
        for source, target in (
            ("device_count.c", libraries.preload),
            ("libcuda.c", libraries.driver_folder / "libcuda.so.1"),
        ):
            code = files("workbench.rehearsal").joinpath("csrc", source).read_text()
            (folder / source).write_text(code)
            _build(command, folder / source, target)
        yield libraries


def _build(command: str, source: Path, target: Path) -> None:
    done = subprocess.run(
        [command, *_FLAGS, str(target), str(source)], capture_output=True, text=True
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise InputError(
            f"a rehearsal needs a C compiler that builds shared libraries, and {command} ended "
            f"with status {done.returncode}: {said[-1] if said else 'it says nothing'}. Name "
            "another one in the variable CC."
        )
