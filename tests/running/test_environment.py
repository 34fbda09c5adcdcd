"""A worker's environment: threads, and a cache of compiled code for each choice of vector units."""

import pytest

from workbench.running.environment import worker_environment


def test_every_library_computes_on_the_threads_that_were_given() -> None:
    environment = worker_environment(3)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert environment[name] == "3"


def test_code_compiled_for_chosen_vector_units_is_kept_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    assert "TORCHINDUCTOR_CACHE_DIR" not in worker_environment(1), "torch's own place"
    folders = set()
    for capability in ("default", "avx2"):
        monkeypatch.setenv("ATEN_CPU_CAPABILITY", capability)
        folders.add(worker_environment(1)["TORCHINDUCTOR_CACHE_DIR"])
    assert len(folders) == 2
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/mine")
    assert "TORCHINDUCTOR_CACHE_DIR" not in worker_environment(1), "the user's place stays"
