"""The output layer, and the loss made inside it a few positions at a time.

Logits of all positions in float32 are the largest tensors of a step: 3.3 GB each at 8 x 2048 x
50,304. Here a chunk of rows is taken through product, loss and gradient before the next, in the
forward pass, so that only one chunk's logits exist. TorchTitan's `ChunkedLossWrapper` does so too,
but cuts along the sequence, calls the layer and its backward once a chunk, and takes all positions:
for diffusion, half of the work is on tokens whose loss counts nothing.

FSDP2 sees one call of one layer, so the weights are gathered once and their gradient is reduced
once, whatever the number of chunks.

Shape suffixes: B sequences, L tokens, T inputs a sequence, N = B * L positions, R rows of one
chunk, D channels, V vocabulary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from workbench.recipe.kernels import loss_rows, rows_computed
from workbench.training.compute import Linear

Places = slice | tuple[Tensor, Tensor]
"""Some places of every sequence, or rows with a place of each."""
RowLoss = Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Predicted:
    """What a pass must predict, and how much each prediction counts."""

    targets_BL: Tensor
    weights_BL: Tensor
    """Of each position's NLL in the loss."""
    n_tokens: int
    """The softmax is over the first so many of the vocabulary."""
    counted: int | None
    """How many weights are not 0, or None: all rows are taken."""
    row_loss: RowLoss
    """`row_loss`, perhaps compiled."""


class Head(Linear):
    """The output layer: logits, or the loss of what is predicted."""

    @dataclass(kw_only=True, slots=True)
    class Config(Linear.Config):
        pass

    predicted: Predicted | None = None
    places: Places | None = None
    """Those whose logits are made; None for all."""

    @contextmanager
    def predicting(self, predicted: Predicted) -> Iterator[None]:
        """Return the loss, a scalar, in the place of logits."""
        self.predicted = predicted
        try:
            yield
        finally:
            self.predicted = None

    def forward(self, input: Tensor) -> Tensor:
        if self.places is not None:
            return super().forward(chosen(input, self.places))
        if self.predicted is None:
            return super().forward(input)
        return chunked_loss(input, self.computed(), self.predicted)


class FirstHalfHead(Head):
    """The output layer of a network that reads 2L inputs and predicts at the first L of them."""

    @dataclass(kw_only=True, slots=True)
    class Config(Head.Config):
        pass

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input[:, : input.shape[1] // 2])


def chosen(every_BLX: Tensor, places: Places) -> Tensor:
    """[B, l, X] at a slice of places, or [N, X] at rows and places."""
    return every_BLX[:, places] if isinstance(places, slice) else every_BLX[places]


@contextmanager
def logits_only_at(model: nn.Module, places: Places) -> Iterator[None]:
    """Have a model, or each member of an ensemble, make logits of some places alone."""
    heads = [module for module in model.modules() if isinstance(module, Head)]
    for head in heads:
        head.places = places
    try:
        yield
    finally:
        for head in heads:
            head.places = None


def logits_at(model: nn.Module, inputs: Tensor, places: Places, **network: Any) -> Tensor:
    """Logits of some places, as `chosen` gives them.

    On a CPU all are made, and these taken: a product of fewer rows may round otherwise, and
    recorded numbers would change.
    """
    if inputs.device.type == "cpu":
        return chosen(model(inputs, **network), places)
    with logits_only_at(model, places):
        logits: Tensor = model(inputs, **network)
    return logits


def row_loss(
    logits_RV: Tensor, targets_R: Tensor, weights_R: Tensor, n_tokens: int
) -> tuple[Tensor, Tensor]:
    """The weighted NLL of each row, [R], and the gradient of their sum by the logits, [R, V].

    In float32 whatever the logits' type, whose memory it may overwrite.
    """
    x_RV = logits_RV.to(torch.promote_types(logits_RV.dtype, torch.float32))
    x_RV[:, n_tokens:] = float("-inf")
    x_RV -= x_RV.amax(dim=1, keepdim=True)
    target_R1 = x_RV.gather(1, targets_R[:, None])
    x_RV.exp_()
    sum_R1 = x_RV.sum(dim=1, keepdim=True)
    loss_R = weights_R * (sum_R1.log() - target_R1)[:, 0]
    x_RV *= weights_R[:, None] / sum_R1
    at_target_R1 = x_RV.gather(1, targets_R[:, None]) - weights_R[:, None]
    return loss_R, x_RV.scatter_(1, targets_R[:, None], at_target_R1).to(logits_RV.dtype)


def chunked_loss(hidden_BLD: Tensor, weight_VD: Tensor, predicted: Predicted) -> Tensor:
    """sum(weights * NLL), a scalar in float32, of logits that never exist all at once."""
    weights_N = predicted.weights_BL.flatten()
    loss: Tensor = _ChunkedLoss.apply(
        hidden_BLD.flatten(0, 1),
        weight_VD,
        predicted.targets_BL.flatten(),
        weights_N,
        predicted,
    )
    return loss


class _ChunkedLoss(torch.autograd.Function):
    """Makes both gradients beside the loss, and only scales them in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        targets_N: Tensor,
        weights_N: Tensor,
        predicted: Predicted,
    ) -> Tensor:
        n = len(hidden_ND)
        rows = rows_computed(n, predicted.counted)
        size = loss_rows(n, masked=predicted.counted is not None)
        place_N = None
        if rows < n:
            # Rows that count, then others, each in order: a sort needs no number from the device.
            place_N = (weights_N == 0).to(torch.uint8).argsort(stable=True)[:rows]
        exact = torch.promote_types(weight_VD.dtype, torch.float32)
        loss = weights_N.new_zeros(())
        grad_VD: Tensor | None = None
        grad_ND = torch.empty_like(hidden_ND) if place_N is None else torch.zeros_like(hidden_ND)
        for first in range(0, rows, size):
            chosen = slice(first, min(first + size, rows))
            place_R = None if place_N is None else place_N[chosen]
            hidden_RD, targets_R, weights_R = (
                every[chosen] if place_R is None else every.index_select(0, place_R)
                for every in (hidden_ND, targets_N, weights_N)
            )
            loss_R, slope_RV = predicted.row_loss(
                hidden_RD @ weight_VD.T, targets_R, weights_R, predicted.n_tokens
            )
            loss += loss_R.sum()
            if place_R is None:
                torch.mm(slope_RV, weight_VD, out=grad_ND[chosen])
            else:
                grad_ND.index_copy_(0, place_R, slope_RV @ weight_VD)
            part_VD = slope_RV.T @ hidden_RD
            # Sums over chunks in float32, as one product over all rows would keep them.
            grad_VD = part_VD.to(exact) if grad_VD is None else grad_VD.add_(part_VD)
        assert grad_VD is not None
        ctx.save_for_backward(grad_ND, grad_VD)
        ctx.dtype = weight_VD.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_ND, grad_VD = ctx.saved_tensors
        scale = grad.to(grad_VD.dtype)
        return grad_ND * scale.to(grad_ND.dtype), (grad_VD * scale).to(ctx.dtype), None, None, None
