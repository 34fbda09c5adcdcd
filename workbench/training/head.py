"""The output layer, and the loss made inside it a few positions at a time.

Logits of all positions in float32 are the largest tensors of a step: 3.3 GB each at 8 x 2048 x
50,304. Here a chunk of rows is taken through product, loss and gradient before the next, in the
forward pass: of its logits a few rows at a time are in float32, and they become their own gradient.
TorchTitan's `ChunkedLossWrapper` is chunked too, but cuts along the sequence, calls the layer and
its backward once a chunk, has all of a chunk in float32, and takes all positions: for diffusion,
half of the work is on tokens whose loss counts nothing.

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

from workbench.recipe import kernels
from workbench.training.compute import Linear
from workbench.training.divergence import Noised, divergence_and_gradient

Places = slice | tuple[Tensor, Tensor]
"""Some places of every sequence, or rows with a place of each."""
RowLoss = Callable[..., Tensor]
"""As `row_loss`."""


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
    noised: Noised | None = None


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
    recorded numbers would change. So they are of a model whose output layer is not ours.
    """
    if inputs.device.type == "cpu" or not any(isinstance(m, Head) for m in model.modules()):
        return chosen(model(inputs, **network), places)
    with logits_only_at(model, places):
        logits: Tensor = model(inputs, **network)
    return logits


def row_loss(
    logits_RV: Tensor, targets_R: Tensor, weights_R: Tensor, n_tokens: int, *noised: Tensor
) -> Tensor:
    """The weighted NLL of each row, or with `Noised` its divergence, [R] in float32.

    The logits become the gradient of its sum by them. Float32 whatever their type, rounded once.
    """
    exact = torch.promote_types(logits_RV.dtype, torch.float32)
    if noised:
        tokens_RV = logits_RV[:, :n_tokens].to(exact)
        loss_R, grad_RV = divergence_and_gradient(tokens_RV, targets_R, *noised)
        logits_RV[:, n_tokens:] = 0
        logits_RV[:, :n_tokens] = (weights_R[:, None] * grad_RV).to(logits_RV.dtype)
        return weights_R * loss_R
    logits_RV[:, n_tokens:] = float("-inf")
    log_p_RV = logits_RV.log_softmax(dim=1, dtype=exact)
    target_R1, weight_R1 = targets_R[:, None], weights_R[:, None]
    log_p_R1 = log_p_RV.gather(1, target_R1)
    torch.mul(log_p_RV.exp_(), weight_R1, out=logits_RV)
    at_target_R1 = weight_R1 * log_p_R1.expm1()
    logits_RV.scatter_(1, target_R1, at_target_R1.to(logits_RV.dtype))
    return -(weight_R1 * log_p_R1)[:, 0]


def chunked_loss(hidden_BLD: Tensor, weight_VD: Tensor, predicted: Predicted) -> Tensor:
    """sum(weights * NLL), a scalar in float32, of logits that never exist all at once."""
    loss: Tensor = _ChunkedLoss.apply(hidden_BLD.flatten(0, 1), weight_VD, predicted)
    return loss


class _ChunkedLoss(torch.autograd.Function):
    """Makes both gradients beside the loss, and only scales them in the backward pass."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, predicted: Predicted) -> Tensor:
        targets_N, weights_N = predicted.targets_BL.flatten(), predicted.weights_BL.flatten()
        noised = [every.flatten() for every in predicted.noised or ()]
        n, vocabulary = len(hidden_ND), len(weight_VD)
        rows = kernels.rows_computed(n, predicted.counted, vocabulary)
        chunk_rows = kernels.rows_of(kernels.LOGITS, vocabulary)
        part_rows = kernels.rows_of(kernels.SOFTMAX_LOGITS, vocabulary)
        place_N = None
        if rows < n:
            # Rows that count, then others, each in order: a sort needs no number from the device.
            place_N = (weights_N == 0).to(torch.uint8).argsort(stable=True)[:rows]
            hidden_ND, targets_N, weights_N, *noised = (
                every.index_select(0, place_N)
                for every in (hidden_ND, targets_N, weights_N, *noised)
            )
        exact = torch.promote_types(weight_VD.dtype, torch.float32)
        loss = weights_N.new_zeros(())
        grad_ND, grad_VD = torch.empty_like(hidden_ND), None
        for first in range(0, rows, chunk_rows):
            chunk = slice(first, first + chunk_rows)
            logits_RV = hidden_ND[chunk] @ weight_VD.T
            for start in range(0, len(logits_RV), part_rows):
                part = slice(start, start + part_rows)
                loss += predicted.row_loss(
                    logits_RV[part],
                    targets_N[chunk][part],
                    weights_N[chunk][part],
                    predicted.n_tokens,
                    *(every[chunk][part] for every in noised),
                ).sum()
            torch.mm(logits_RV, weight_VD, out=grad_ND[chunk])  # by now the logits' gradient
            part_VD = logits_RV.T @ hidden_ND[chunk]
            # Of several chunks the sum is in float32, as one product over all rows would keep it.
            grad_VD = part_VD if grad_VD is None else grad_VD.to(exact).add_(part_VD)
        if place_N is not None:
            grad_ND = grad_ND.new_zeros(n, grad_ND.shape[1]).index_copy_(0, place_N, grad_ND)
        ctx.save_for_backward(grad_ND, grad_VD)
        ctx.dtype = weight_VD.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_ND, grad_VD = ctx.saved_tensors
        return grad_ND * grad.to(grad_ND.dtype), (grad_VD * grad).to(ctx.dtype), None
