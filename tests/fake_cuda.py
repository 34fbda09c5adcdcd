"""Tensors of a GPU that is not there: shapes and devices without values, and what moves between
the host and the device."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

CUDA = torch.device("cuda", 0)


class _Moves(TorchDispatchMode):
    """Collects (operation, from, to, non_blocking) of everything that crosses devices, and of
    what the host reads of the device's values."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[tuple[str, str, str, bool]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func._schema.name.split("::")[1]
        inputs, outputs = _tensors((args, kwargs)), _tensors(out)
        if name == "_local_scalar_dense" and inputs[0].device.type == "cuda":
            self.moves.append((name, "cuda", "cpu", False))
        elif inputs and outputs and name in ("_to_copy", "copy_"):
            source, target = inputs[-1].device.type, outputs[0].device.type
            if source != target:
                free = bool(kwargs.get("non_blocking", len(args) > 2 and args[2]))
                self.moves.append((name, source, target, free))
        return out


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


@contextmanager
def moves() -> Iterator[list[tuple[str, str, str, bool]]]:
    """What crosses between host and device inside, where tensors are fake ones."""
    with FakeTensorMode(allow_non_fake_inputs=True), _Moves() as mode:
        yield mode.moves


def on_gpu(model: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The model with weights of this dtype on the GPU; buffers keep theirs. Call within `moves`."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                value = torch.empty(weight.shape, dtype=dtype, device=CUDA)
                module._parameters[name] = nn.Parameter(value, requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=CUDA)
    return model
