"""What an operation is, read off its name and its schema."""

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils.flop_counter import flop_registry

from workbench.rehearsal.counts import Work

FREE = frozenset((
    "view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select",
    "unsqueeze", "squeeze", "detach", "alias", "as_strided", "split", "split_with_sizes",
    "unbind", "view_as", "reshape", "flatten", "record_stream", "_reshape_alias", "lift_fresh",
    "is_same_size", "unflatten", "chunk", "diagonal", "empty", "empty_like", "empty_strided",
    "new_empty", "new_empty_strided", "set_", "resize_", "device", "is_pinned", "view_dtype",
    "narrow",
))  # fmt: skip
"""Operations without a kernel: they only look at memory in another way, or ask for it."""
TO_HOST = ("_local_scalar_dense", "equal", "is_nonzero")
FROM_DATA = ("nonzero", "masked_select")
MANY = 30  # tensors that one kernel of a `_foreach` operation takes, about


def count_flops(work: Work, func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Add an operation's FLOPs by torch's own formulas, where it has one."""
    formula = flop_registry.get(func._overloadpacket)
    if formula is None:
        return
    work.flops = float(formula(*args, **kwargs, out_val=out))
    if any(arg is True for arg in _named(func, args, kwargs, "is_causal")):
        work.causal_flops = work.flops
    if any(isinstance(arg, Tensor) for arg in _named(func, args, kwargs, "attn_bias")):
        work.masked_flops = work.flops


def _named(func: Any, args: Any, kwargs: Any, name: str) -> list[Any]:
    """The values that the arguments of that name were given."""
    if name in kwargs:
        return [kwargs[name]]
    names = [argument.name for argument in func._schema.arguments]
    place = names.index(name) if name in names else len(args)
    return list(args[place : place + 1])


def written_by(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """The arguments that an operation writes to, those in lists too."""
    found: list[Any] = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        value = args[place] if place < len(args) else kwargs.get(argument.name)
        found += value if isinstance(value, list | tuple) else [value]
    return found


def on_device(given: list[Tensor], kwargs: dict[str, Any]) -> bool:
    """Whether an operation reads or makes a tensor that is not on the host or on meta."""
    wanted = kwargs.get("device")
    if wanted is not None and torch.device(wanted).type == "cuda":
        return True
    return any(isinstance(t, FakeTensor) or t.device.type == "cuda" for t in given)


def takes_lists(name: str) -> bool:
    return name.startswith("_foreach") or name.startswith("_fused_adam")


def size(tensor: Tensor) -> int:
    """What reading it once moves; nothing where one number stands for many."""
    return 0 if 0 in tensor.stride() else tensor.numel() * tensor.element_size()
