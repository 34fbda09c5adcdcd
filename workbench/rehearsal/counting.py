"""A dispatch mode that sees every operation: what it moves and computes, and where it waits.

The host is real and the device is imagined: an operation on the host's tensors alone is computed,
one that touches a CUDA tensor gives a fake one, and what is copied back to the host are ones. So
all of a run's own code runs, whatever it does with numbers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from workbench.rehearsal.counts import (
    ATTENTION,
    COMMUNICATION,
    LAYERS,
    LOSS,
    PRODUCTS,
    REST,
    WEIGHTS,
    Copy,
    Phase,
    Place,
    Work,
)
from workbench.rehearsal.operations import (
    FREE,
    FROM_DATA,
    MANY,
    TO_HOST,
    count_flops,
    on_device,
    size,
    takes_lists,
    written_by,
)
from workbench.rehearsal.tracing import PlaceOf, TracedMemory


class Counting(TorchDispatchMode):
    """Counts what happens while it is on, in `phase`."""

    supports_higher_order_operators = False

    def __init__(self, *, vocabulary: Iterable[int]) -> None:
        """Count nothing yet.

        Args:
            vocabulary: sizes of the logits' last dimension, whole and as a rank has it.
        """
        super().__init__()
        self.vocabulary = frozenset(vocabulary)
        self.place_of = PlaceOf()
        self.memory = TracedMemory(self.place_of.now)
        self.pinned: WeakSet[Any] = WeakSet()
        self.quiet = False
        self.start("")

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Let Dynamo compile while this mode is on: it counts what the compiled graph does."""
        return True

    def start(self, name: str) -> None:
        """Begin a phase: nothing counted, the peak what there is now."""
        self.groups: dict[str, Work] = defaultdict(Work)
        self.copies: Counter[tuple[str, str, bool, bool]] = Counter()
        self.copied: Counter[tuple[str, str, bool, bool]] = Counter()
        self.seen: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        self.name = name
        self.memory.restart()

    def finish(self) -> Phase:
        """What was counted since `start`."""

        def places(kind: str) -> list[Place]:
            return [Place(what, place, n) for (what, place), n in self.seen[kind].most_common()]

        return Phase(
            name=self.name,
            groups=dict(self.groups),
            copies=[Copy(*key, n, self.copied[key]) for key, n in self.copies.most_common()],
            syncs=places("syncs"),
            float64=places("float64"),
            masks=places("masks"),
            from_data=places("from_data"),
            peak_bytes=self.memory.peak,
            peak_place=self.memory.peak_place,
        )

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """Let operations happen without counting them."""
        self.quiet = True
        try:
            yield
        finally:
            self.quiet = False

    def note(self, kind: str, what: str) -> None:
        """Count something at the place of the product's code that is running."""
        self.seen[kind][what, self.place_of.now()] += 1

    def waits(self, what: str) -> None:
        """Count that the host waits for the device."""
        self.note("syncs", what)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented  # its local operations come by here too
        name = func._schema.name.rpartition("::")[2]
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not on_device(given, kwargs):
            return self._on_host(name, func, args, kwargs)
        if self.quiet:
            return func(*args, **kwargs)
        if name in TO_HOST and given[0].device.type == "cuda":
            self.waits(name)
            if name == "_local_scalar_dense":
                return 1.0 if given[0].dtype.is_floating_point else 1
            return True
        if name in FROM_DATA and given[0].device.type == "cuda":
            return self._largest(name, given[0])
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            args = self._indexed(name, args)
        out = self._copied(name, func, args, kwargs, given)
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        self.memory.add(made)
        if name not in FREE:
            self._count(name, func, args, kwargs, given, made, out)
        return out

    def _on_host(self, name: str, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Compute with the host's own numbers; memory is pinned in name only."""
        if name == "is_pinned":
            return args[0].untyped_storage() in self.pinned
        if name == "_pin_memory":
            func, args, kwargs = torch.ops.aten.clone.default, args[:1], {}
            pin = True
        else:
            pin = bool(kwargs.get("pin_memory"))
            if pin:
                kwargs = {**kwargs, "pin_memory": False}
        with unset_fake_temporarily():
            out = func(*args, **kwargs)
        if pin:
            self.pinned.add(out.untyped_storage())
        return out

    def _largest(self, name: str, tensor: Tensor) -> Tensor:
        """What depends on how many elements are set, as if all were."""
        self.waits(name)
        self.note("from_data", name)
        shape, dtype = [tensor.numel()], tensor.dtype
        if name == "nonzero":
            shape, dtype = [tensor.numel(), tensor.ndim], torch.int64
        return torch.empty(shape, dtype=dtype, device=tensor.device)

    def _indexed(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of an indexing, boolean masks in them replaced by as many places."""
        places = []
        for index in args[1]:
            if not isinstance(index, Tensor) or index.dtype not in (torch.bool, torch.uint8):
                places.append(index)
                continue
            self.waits(f"{name} by a boolean mask")
            self.note("from_data", f"{name} by a boolean mask")
            full = torch.empty(index.numel(), dtype=torch.int64, device=index.device)
            places += [full] * index.ndim
        return (args[0], places, *args[2:])

    def _copied(self, name: str, func: Any, args: Any, kwargs: Any, given: list[Tensor]) -> Any:
        """Do the operation; what comes back to the host is made of ones."""
        if name not in ("_to_copy", "copy_"):
            self._crossing_indices(name, given)
            return func(*args, **kwargs)
        if name == "_to_copy":
            source, device = given[0], torch.device(kwargs.get("device") or given[0].device)
        else:
            source, device = given[1], given[0].device
        if source.device.type == device.type:
            return func(*args, **kwargs)
        asked = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
        if device.type == "cuda":
            pinned = source.untyped_storage() in self.pinned
            self._copy("host to device", source, pinned, bool(asked))
            return func(*args, **kwargs)
        self._copy("device to host", source, False, bool(asked))
        with unset_fake_temporarily():
            if name == "copy_":
                return args[0].fill_(1)
            dtype = kwargs.get("dtype") or source.dtype
            return torch.ones(source.shape, dtype=dtype)

    def _crossing_indices(self, name: str, given: list[Tensor]) -> None:
        """Indices on the host are copied to the device by the operation itself."""
        for tensor in given[1:]:
            if name.startswith("index") and tensor.device.type == "cpu" and tensor.ndim > 0:
                self._copy("host to device", tensor, False, False)

    def _copy(self, direction: str, source: Tensor, pinned: bool, asked: bool) -> None:
        blocking = not (asked and (pinned or direction == "device to host"))
        key = (direction, self.place_of.now(), pinned, blocking)
        self.copies[key] += 1
        self.copied[key] += source.numel() * source.element_size()

    def _count(
        self, name: str, func: Any, args: Any, kwargs: Any, given: list[Tensor],
        made: list[Tensor], out: Any,
    ) -> None:  # fmt: skip
        written = [arg for arg in written_by(func, args, kwargs) if isinstance(arg, Tensor)]
        read = given[1:] if name == "copy_" else [] if name.endswith("_like") else given
        fresh = [t for t in made if not any(t is w for w in written)]
        for tensor in (*given, *made):
            if tensor.dtype == torch.float64 and tensor.device.type == "cuda":
                self.note("float64", name)
                break
        work = Work(
            kernels=1 + (len(given) // MANY if takes_lists(name) else 0),
            bytes=float(sum(map(size, (*read, *written, *fresh)))),
        )
        count_flops(work, func, args, kwargs, out)
        if "attention" in name and work.flops:
            self._look_at_masks(name, args)
        self.groups[self._group(name, func, given, made, work)].add(work)

    def _group(
        self, name: str, func: Any, given: list[Tensor], made: list[Tensor], work: Work
    ) -> str:
        space = func._schema.name.partition("::")[0]
        if "c10d" in space:
            return COMMUNICATION
        if work.flops:
            return ATTENTION if "attention" in name else PRODUCTS
        if space == "fsdp" or self.place_of.copying_weights():
            return WEIGHTS
        if takes_lists(name) or self.place_of.outside_layers():
            return REST
        if any(t.ndim > 0 and t.shape[-1] in self.vocabulary and t.ndim > 1 for t in given + made):
            return LOSS
        return LAYERS

    def _look_at_masks(self, name: str, args: Any) -> None:
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        query = next((t for t in tensors if t.ndim == 4), None)
        place = 4 if name.endswith("backward") else 3
        mask = args[place] if "efficient" in name and len(args) > place else None
        if query is not None and isinstance(mask, Tensor) and mask.dtype != query.dtype:
            kinds = [str(dtype).removeprefix("torch.") for dtype in (mask.dtype, query.dtype)]
            self.note("masks", f"{kinds[0]} mask, {kinds[1]} queries")
