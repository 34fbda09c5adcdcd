"""A worker's environment: threads, and a cache of compiled code for each choice of vector units."""

import pytest

from workbench.running import environment
from workbench.running.environment import worker_environment


def test_every_library_computes_on_the_threads_that_were_given() -> None:
    given = worker_environment(3)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert given[name] == "3"


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


@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_memory_of_gpus_grows_in_segments_unless_the_user_has_chosen(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for other in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setattr(environment, "visible_gpus", lambda: [])
    assert not any("ALLOC_CONF" in key for key in worker_environment(1)), "a CPU has no need of it"
    monkeypatch.setattr(environment, "visible_gpus", lambda: ["0"])
    assert worker_environment(1)["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    monkeypatch.setenv(name, "max_split_size_mb:64")
    assert not any("ALLOC_CONF" in key for key in worker_environment(1)), "torch reads but one"
