"""Which GPUs there are: as CUDA reads its variable, and as the driver counts them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.running import visible_gpus
from workbench.running.visible_gpus import visible_gpus as found

UUIDS = "GPU-8932f937,GPU-aa02"
PARTS = "MIG-4f1c-1,MIG-4f1c-2"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that counts four GPUs."""
    monkeypatch.setattr(visible_gpus, "_present", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("driver")
def test_all_are_visible_where_nothing_hides_them() -> None:
    assert found() == ["0", "1", "2", "3"]


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("named", "gpus"),
    [
        ("", []),
        ("-1", []),
        ("none", []),
        ("NoDevFiles", []),
        ("2,0", ["2", "0"]),
        (" 1, 3", ["1", "3"]),
        ("1,-1,2", ["1"]),
        ("0,,1", ["0"]),
        ("0,4,1", ["0"]),
        ("1,1", []),
        ("1gpu,2", ["1", "2"]),
        (UUIDS, UUIDS.split(",")),
        (f"{UUIDS},0", UUIDS.split(",")),
        (f"0,{UUIDS}", ["0"]),
        ("GPU-1,GPU-1", []),
        (PARTS, PARTS.split(",")),
        (f"{PARTS},GPU-1", PARTS.split(",")),
    ],
)
def test_the_variable_is_read_as_cuda_reads_it(
    monkeypatch: pytest.MonkeyPatch, named: str, gpus: list[str]
) -> None:
    """And so as torch, which knows nothing of how many there are, does."""
    from torch.cuda import _parse_visible_devices

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert found() == gpus
    of_torch = [str(one) for one in _parse_visible_devices()]
    assert of_torch[: len(gpus)] == gpus
    assert len(of_torch) == len(gpus) or of_torch[len(gpus)] == "4"


LIBRARY = """
int nvmlInit_v2(void) {{ return {status}; }}
int nvmlShutdown(void) {{ return 0; }}
int nvmlDeviceGetCount_v2(unsigned *count) {{ *count = {count}; return 0; }}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="builds a library in C")
@pytest.mark.parametrize(
    ("status", "count", "named", "gpus"),
    [
        (0, 3, None, ["0", "1", "2"]),
        (0, 3, "1,2,3", ["1", "2"]),
        (0, 0, "0", []),
        (9, 3, None, []),  # NVML_ERROR_DRIVER_NOT_LOADED
        (9, 3, "0", []),
    ],
)
def test_the_drivers_library_is_asked(
    tmp_path: Path, status: int, count: int, named: str | None, gpus: list[str]
) -> None:
    """One that answers as NVML does, in a process of its own."""
    source = tmp_path / "nvml.c"
    source.write_text(LIBRARY.format(status=status, count=count))
    built = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", built, source], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    if named is not None:
        environment["CUDA_VISIBLE_DEVICES"] = named
    code = "from workbench.running.visible_gpus import visible_gpus; print(visible_gpus())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(gpus)


def test_without_the_drivers_library_only_what_is_named_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(visible_gpus, "_NVML", "libno-such-library.so.1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert found() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,7")
    assert found() == ["0", "7"]
