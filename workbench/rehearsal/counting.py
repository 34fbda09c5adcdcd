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
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

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
from workbench.rehearsal.tracing import PlaceOf, TracedMemory

FREE = frozenset((
    "view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select",
    "unsqueeze", "squeeze", "detach", "alias", "as_strided", "split", "split_with_sizes",
    "unbind", "view_as", "reshape", "flatten", "record_stream", "_reshape_alias", "lift_fresh",
    "is_same_size", "unflatten", "chunk", "diagonal", "empty", "empty_like", "empty_strided",
    "new_empty", "new_empty_strided", "set_", "resize_", "device", "is_pinned", "view_dtype",
    "narrow",
))  # fmt: skip
"""Operations without a kernel: they only look at memory in another way, or ask for it."""
_TO_HOST = ("_local_scalar_dense", "equal", "is_nonzero")
_FROM_DATA = ("nonzero", "masked_select")
_MANY = 30  # tensors that one kernel of a `_foreach` operation takes, about


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
        if not _on_device(given, kwargs):
            return self._on_host(name, func, args, kwargs)
        if self.quiet:
            return func(*args, **kwargs)
        if name in _TO_HOST and given[0].device.type == "cuda":
            self.waits(name)
            if name == "_local_scalar_dense":
                return 1.0 if given[0].dtype.is_floating_point else 1
            return True
        if name in _FROM_DATA and given[0].device.type == "cuda":
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
        written = [arg for arg in _written(func, args, kwargs) if isinstance(arg, Tensor)]
        read = given[1:] if name == "copy_" else [] if name.endswith("_like") else given
        fresh = [t for t in made if not any(t is w for w in written)]
        for tensor in (*given, *made):
            if tensor.dtype == torch.float64 and tensor.device.type == "cuda":
                self.note("float64", name)
                break
        work = Work(
            kernels=1 + (len(given) // _MANY if _takes_lists(name) else 0),
            bytes=float(sum(map(_bytes, (*read, *written, *fresh)))),
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
        if _takes_lists(name) or self.place_of.outside_layers():
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


def _written(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """The arguments that an operation writes to, lists taken apart."""
    found: list[Any] = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        value = args[place] if place < len(args) else kwargs.get(argument.name)
        found += value if isinstance(value, list | tuple) else [value]
    return found


def _on_device(given: list[Tensor], kwargs: dict[str, Any]) -> bool:
    """Whether an operation reads or makes a tensor that is not on the host or on meta."""
    wanted = kwargs.get("device")
    if wanted is not None and torch.device(wanted).type == "cuda":
        return True
    return any(isinstance(t, FakeTensor) or t.device.type == "cuda" for t in given)


def _takes_lists(name: str) -> bool:
    return name.startswith("_foreach") or name.startswith("_fused_adam")


def _bytes(tensor: Tensor) -> int:
    """What reading it once moves; nothing where one number stands for many."""
    return 0 if 0 in tensor.stride() else tensor.numel() * tensor.element_size()
