"""What a run starts as on a machine, and whether it may go on there."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.planning.plan import plan_study
from workbench.recipe import RunConfig, load_recipe
from workbench.runs.started_as import StartedAs
from workbench.training import start
from workbench.training.start import start_of

LONG = "training.total_tokens=200_000_000"
EAGER, COMPILED = StartedAs("cpu", "float32", False), StartedAs("cpu", "float32", True)
ON_GPU = StartedAs("cuda", "bfloat16", True)
NO_COMPILER = "there is no C++ compiler (no-such-compiler)"


def config(*overrides: str) -> RunConfig:
    recipe = load_recipe("quickstart", list(overrides))
    return plan_study(recipe, Path("/nonexistent")).runs[0].config


@pytest.fixture(autouse=True)
def vector_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a machine that compiles, wherever the tests run."""
    from torch._inductor import cpu_vec_isa

    monkeypatch.setattr(cpu_vec_isa, "pick_vec_isa", lambda: "avx2")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")


def test_a_first_start_takes_what_the_machine_has() -> None:
    assert start_of(config()) == EAGER
    assert start_of(config(LONG)) == COMPILED
    assert start_of(config("training.compile=true")) == COMPILED
    assert start_of(config(LONG, "training.compile=false")) == EAGER


@pytest.mark.usefixtures("gpu")
def test_a_first_start_on_a_gpu_is_compiled_in_bfloat16() -> None:
    assert start_of(config()) == ON_GPU
    assert start_of(config("training.device='cpu'")) == EAGER
    assert start_of(config("training.dtype='float32'")) == StartedAs("cuda", "float32", True)


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_a_choice_is_eager_with_the_reason_and_a_demand_is_refused() -> None:
    eager = start_of(config(LONG))
    assert eager == StartedAs("cpu", "float32", False, NO_COMPILER)
    assert str(eager) == f"cpu float32 eager ({NO_COMPILER})"
    assert start_of(config()) == EAGER, "a short run is eager by choice"
    with pytest.raises(WorkbenchError, match=r"compile = true, and there is no C\+\+ compiler"):
        start_of(config("training.compile=true"))


def test_a_run_goes_on_as_it_was_started_whatever_would_be_chosen_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert start_of(config(LONG), EAGER) == EAGER, "an extension of an eager run"
    assert start_of(config(), COMPILED) == COMPILED
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert start_of(config(), EAGER) == EAGER, "a GPU that the machine was given since"


def test_what_cannot_go_on_as_it_was_started_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way_out = "move the run's folder away"
    with pytest.raises(
        WorkbenchError, match=f"cuda bfloat16 compiled, and there is no GPU.*{way_out}"
    ):
        start_of(config(), ON_GPU)
    with pytest.raises(WorkbenchError, match=r'device = "cuda", and there is no GPU here\.$'):
        start_of(config("training.device='cuda'"))
    with pytest.raises(
        WorkbenchError, match=f"recipe says training.compile = false now.*{way_out}"
    ):
        start_of(config("training.compile=false"), COMPILED)
    with pytest.raises(WorkbenchError, match=r"recipe says training\.dtype = bfloat16 now"):
        start_of(config("training.dtype='bfloat16'"), EAGER)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert start_of(config(), EAGER) == EAGER
    with pytest.raises(WorkbenchError, match=f"compiled, and here there is no C.*{way_out}"):
        start_of(config(), COMPILED)


def test_where_torch_has_no_vector_units_nothing_is_compiled_for_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch._inductor import cpu_vec_isa

    monkeypatch.setattr(cpu_vec_isa, "pick_vec_isa", lambda: None)
    assert start.cannot_compile("cpu") == "torch finds no vector units that it can compile for"
    assert start.cannot_compile("cuda") is None


RANK = """
import sys
from torch import distributed as dist
from workbench.errors import WorkbenchError
from workbench.runs.started_as import StartedAs
from workbench.training.start import agreed

store, rank, dtype, lacking = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
try:
    print(agreed(StartedAs("cpu", dtype, not lacking, lacking[0] if lacking else None)))
except WorkbenchError as error:
    print(error)
dist.destroy_process_group()
"""


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([["float32"], ["float32"]], "cpu float32 compiled"),
        ([["float32"], ["float32", "no compiler"]], "cpu float32 eager (no compiler)"),
        ([["float32"], ["bfloat16"]], "the ranks of a run have to compute alike, and do not: "
         "rank 0: cpu float32 compiled; rank 1: cpu bfloat16 compiled."),
    ],
    ids=["alike", "one lacks the compiler", "different dtypes"],
)  # fmt: skip
def test_ranks_compute_alike_or_not_at_all(
    ranks: list[list[str]], expected: str, tmp_path: Path
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(tmp_path / "store"), str(rank), *asked],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank, asked in enumerate(ranks)
    ]
    told = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert told == [expected] * 2
