"""Imports TorchTitan 0.3.0 without what it loads and we never use.

Its trainer imports its Hugging Face text loader, and with it `datasets`, pandas and pyarrow:
66 MB and a second of every worker's start. Its metrics import TensorBoard. Both are only looked
up when a loader or a logger of that kind is built, and ours are neither. Placeholders stand in
while titan is imported, and leave again: whoever imports these packages later gets the real ones.

Its attention compiles FlexAttention as its class is made, which imports inductor: another second.
We attend by scaled_dot_product_attention, so that waits for a call that does not come.

Import this module before any other that imports torchtitan.
"""

import functools
import sys
import types
from collections.abc import Callable
from typing import Any


class _Placeholder(types.ModuleType):
    """A module whose every public name is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


_UNUSED = ("datasets", "datasets.distributed", "torch.utils.tensorboard")


def _compiled_at_its_call(
    compile: Callable[..., Any], function: Callable[..., Any] | None = None, **options: Any
) -> Callable[..., Any]:
    """As `torch.compile`, but nothing is compiled or imported before the first call."""
    if function is None:
        return functools.partial(_compiled_at_its_call, compile, **options)
    made = functools.cache(lambda: compile(function, **options))
    return functools.wraps(function)(lambda *args, **kwargs: made()(*args, **kwargs))


def _import_titan() -> None:
    import torch

    placed = {name: _Placeholder(name) for name in _UNUSED if name not in sys.modules}
    sys.modules.update(placed)
    compile = torch.compile
    torch.compile = functools.partial(_compiled_at_its_call, compile)
    try:
        import torchtitan.trainer  # noqa: F401
    finally:
        torch.compile = compile
        for name, placeholder in placed.items():
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]
    # An import of a submodule also sets it on its parent.
    if isinstance(getattr(torch.utils, "tensorboard", None), _Placeholder):
        del torch.utils.tensorboard


_import_titan()
