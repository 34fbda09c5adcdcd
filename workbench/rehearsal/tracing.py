"""Where in the code something happens, and how much memory there is at once."""

import sys
import weakref
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any

from torch import Tensor

_PRODUCT = ("workbench/", "torchtitan/")
_OURSELVES = "workbench/rehearsal/"
_FSDP = "torch/distributed/fsdp/"
_WEIGHTS = (_FSDP, "workbench/training/compute.py")
_OUTSIDE = ("components/optimizer", "distributed/utils.py", "objectives/", "training/dropout.py")


class PlaceOf:
    """Finds places by the frames of the call, once for each piece of code."""

    def __init__(self) -> None:
        self._names: dict[CodeType, str] = {}

    def _name(self, code: CodeType) -> str:
        """The file from its package on; nothing for what is of no interest."""
        name = self._names.get(code)
        if name is None:
            file = code.co_filename.partition("site-packages/")[2] or code.co_filename
            place = file.rfind("workbench/")
            file = file[place:] if place >= 0 and "site-packages" not in file else file
            known = file.startswith(_PRODUCT) or file.startswith(_FSDP)
            name = self._names[code] = file if known and _OURSELVES not in file else ""
        return name

    def _frames(self) -> Iterable[tuple[str, int]]:
        frame: Any = sys._getframe(2)
        while frame is not None:
            name = self._name(frame.f_code)
            if name:
                yield name, frame.f_lineno
            frame = frame.f_back

    def now(self) -> str:
        """The innermost file and line of the workbench or of TorchTitan."""
        for name, line in self._frames():
            if not name.startswith(_FSDP):
                return f"{name}:{line}"
        return "outside of the product"

    def copying_weights(self) -> bool:
        """Whether weights are gathered, reduced or converted, rather than used."""
        for name, _ in self._frames():
            return name.startswith(_WEIGHTS)
        return False

    def outside_layers(self) -> bool:
        """Whether an optimizer, the clipping of gradients or an objective's noise is at work."""
        for name, _ in self._frames():
            return any(part in name for part in _OUTSIDE)
        return False


class TracedMemory:
    """Bytes of the storages of fake CUDA tensors, now and at the most since `restart`.

    A storage counts from the operation that makes it until Python frees it, as the allocator of a
    GPU has it; what kernels ask for inside, and what the allocator rounds up, does not count.
    """

    def __init__(self, place: Callable[[], str]) -> None:
        """Follow nothing yet.

        Args:
            place: tells where the code is.
        """
        self.now = 0
        self.peak = 0
        self.peak_place = ""
        self._place = place
        self._sizes: dict[int, int] = {}

    def restart(self) -> None:
        self.peak, self.peak_place = self.now, "before it began"

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Follow the storages of these tensors, where they are on a GPU and new."""
        for tensor in tensors:
            if tensor.device.type != "cuda":
                continue
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key not in self._sizes:
                self._sizes[key] = 0
                weakref.finalize(storage, self._free, key)
                self._resize(key, storage.nbytes())

    def resized(self, storage: Any) -> None:
        """Take note that a storage has another size: FSDP2 frees gathered weights by that."""
        if storage._cdata in self._sizes:
            self._resize(storage._cdata, storage.nbytes())

    def _resize(self, key: int, size: int) -> None:
        self.now += size - self._sizes[key]
        self._sizes[key] = size
        if self.now > self.peak:
            self.peak, self.peak_place = self.now, self._place()

    def _free(self, key: int) -> None:
        self.now -= self._sizes.pop(key)
