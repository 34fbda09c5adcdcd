"""Imports TorchTitan 0.3.0 without what it loads and we never use.

Its trainer imports its Hugging Face text loader, and with it `datasets`, pandas and pyarrow:
66 MB and a second of every worker's start. Its metrics import TensorBoard. Both are only looked
up when a loader or a logger of that kind is built, and ours are neither. Placeholders stand in
while titan is imported, and leave again: whoever imports these packages later gets the real ones.

Import this module before any other that imports torchtitan.
"""

import sys
import types


class _Placeholder(types.ModuleType):
    """A module whose every public name is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


_UNUSED = ("datasets", "datasets.distributed", "torch.utils.tensorboard")


def _import_titan() -> None:
    placed = {name: _Placeholder(name) for name in _UNUSED if name not in sys.modules}
    sys.modules.update(placed)
    try:
        import torch
        import torchtitan.trainer  # noqa: F401
    finally:
        for name, placeholder in placed.items():
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]
    # An import of a submodule also sets it on its parent.
    if isinstance(getattr(torch.utils, "tensorboard", None), _Placeholder):
        del torch.utils.tensorboard


_import_titan()
