"""Work on logits in parts: the same numbers, and no large tensor in float32."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from workbench.recipe import kernels
from workbench.training.logit_parts import in_parts
from workbench.training.loss import token_nll

B, L, V = 3, 7, 11


def nll(logits_BLV: Tensor, targets_BL: Tensor) -> tuple[Tensor, ...]:
    return token_nll(logits_BLV, targets_BL, V - 2), targets_BL


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda positions: monkeypatch.setattr(kernels, "LOGITS_AT_ONCE", positions * V)


@pytest.mark.parametrize("positions", [1, 2, 3, 5, 8, 20, 21, 100])
def test_every_position_has_its_own_number_whatever_the_parts(
    few: Callable[[int], None], positions: int
) -> None:
    logits_BLV = torch.randn(B, L, V, generator=torch.Generator().manual_seed(0))
    targets_BL = torch.arange(B * L).view(B, L) % (V - 2)
    whole = nll(logits_BLV, targets_BL)
    sizes = []

    def work(part_1NV: Tensor, beside: Tensor) -> tuple[Tensor, ...]:
        sizes.append(part_1NV.shape[:-1].numel())
        return nll(part_1NV, beside)

    few(positions)
    found = in_parts(work, logits_BLV, targets_BL)
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))
    assert max(sizes) <= positions
    assert sum(sizes) == B * L


def test_parts_are_of_one_shape_where_windows_are_as_long_as_a_power_of_two(
    few: Callable[[int], None],
) -> None:
    """Or compiled code would be made anew for the last part."""
    few(7)
    shapes = []

    def work(part: Tensor) -> tuple[Tensor, ...]:
        shapes.append(tuple(part.shape))
        return (part[..., 0],)

    in_parts(work, torch.zeros(3, 8, V))
    assert set(shapes) == {(1, 4, V)}
    assert len(shapes) == 6


def test_a_large_batch_of_bfloat16_is_never_whole_in_float32() -> None:
    """8 windows of 2048 tokens of the paper's vocabulary, without their memory."""
    logits_BLV = torch.empty(8, 2048, 50_304, dtype=torch.bfloat16, device="meta")
    largest = 0

    def work(part: Tensor) -> tuple[Tensor, ...]:
        nonlocal largest
        largest = max(largest, part.float().numel())
        return (part[..., 0],)

    (found,) = in_parts(work, logits_BLV)
    assert found.shape == (8, 2048)
    assert largest <= kernels.LOGITS_AT_ONCE
