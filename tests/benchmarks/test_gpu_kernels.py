"""`benchmarks/gpu_kernels.py`: what it says of a backend is true."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.nn import functional as F

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu_kernels

    return gpu_kernels


def test_attention_of_this_torch_is_plain_arithmetic_or_refused(kernels: ModuleType) -> None:
    found = dict(kernels.attention_checks(kernels.TRIAL))
    assert {name for name in found if name.startswith("math, ")} == {
        f"math, {case}" for case in ("no mask", "causal", "mask of bool", "mask of float32")
    }
    for name, check in found.items():
        assert check.get("as_plain_arithmetic", False) or "refused" in check, name
    assert all(found[f"math, {case}"]["as_plain_arithmetic"] for case in ("causal", "mask of bool"))
    assert "refused" in found["cudnn, no mask"], "there is none on a CPU"


def test_a_kernel_that_reads_its_mask_as_another_type_is_noticed(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = F.scaled_dot_product_attention

    def misread(q: Any, k: Any, v: Any, attn_mask: Any = None, **options: Any) -> torch.Tensor:
        if attn_mask is not None and attn_mask.dtype == torch.float32:
            halves = attn_mask.view(torch.bfloat16)[..., : attn_mask.shape[-1]]
            attn_mask = halves.nan_to_num().float().clamp(min=-1e4)
        return plain(q, k, v, attn_mask=attn_mask, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", misread)
    found = dict(kernels.attention_checks(kernels.TRIAL))
    assert found["math, mask of bool"]["as_plain_arithmetic"]
    assert not found["math, mask of float32"]["as_plain_arithmetic"]


def test_what_is_not_finite_is_not_plain_arithmetic(kernels: ModuleType) -> None:
    one = torch.ones(2, dtype=torch.float64)
    assert kernels.relative_error(torch.tensor([1.0, float("nan")]), one) == float("inf")
    assert kernels.relative_error(torch.tensor([1.0, 0.5]), one) == 0.5


def test_products_as_one_are_as_many_flops_as_apart(kernels: ModuleType) -> None:
    found = dict(kernels.products(kernels.TRIAL))
    assert len(found) == 7
    for one in found.values():
        assert one["forward_and_backward_ms"] > 0
        ahead = one["forward_tflops"] * one["forward_ms"]
        both = one["forward_and_backward_tflops"] * one["forward_and_backward_ms"]
        assert both == pytest.approx(3 * ahead)

    def flops(name: str) -> float:
        return found[name]["forward_tflops"] * found[name]["forward_ms"]

    assert flops("q, k, v as one") == pytest.approx(flops("q, k, v apart"))
