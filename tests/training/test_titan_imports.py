"""What importing titan costs, and that it leaves torch as it was."""

import subprocess
import sys

import pytest

from workbench.training.titan_imports import _compiled_at_its_call

UNUSED = ("datasets", "pandas", "tensorboard", "torch._inductor.compile_fx")


@pytest.mark.slow
def test_a_worker_imports_nothing_that_it_never_uses_and_torch_compiles_as_before() -> None:
    program = f"""
import sys, torch
before = torch.compile
import workbench.running.worker
assert torch.compile is before
print([name for name in {UNUSED} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_function_is_compiled_once_and_not_before_its_call() -> None:
    asked = []

    def compile(function, **options):
        asked.append(options)
        return lambda x: function(x) + 1

    def double(x: int) -> int:
        return 2 * x

    later = _compiled_at_its_call(compile, mode="max")(double)
    assert asked == []
    assert [later(1), later(2)] == [3, 5]
    assert asked == [{"mode": "max"}]
    assert later.__name__ == "double"
