"""A compiler back end that captures instead of compiling: `training.compile` up to fused kernels.

Dynamo traces a block, AOTAutograd makes graphs of its forward and backward pass in the operations
that Inductor would see. Each graph runs operation by operation on fake tensors. Products, attention
and collectives are kernels of their own, as Inductor leaves them; between them stands what it would
fuse, and that is an **estimate**: neighbours that only compute element by element or reduce rows
become one kernel, which reads what comes from outside of it and writes what is used outside.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.backends.registry import register_backend
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from workbench.rehearsal.counting import Counting
from workbench.rehearsal.counts import LAYERS, LOSS, Work
from workbench.rehearsal.operations import FREE

BACKEND = "rehearsal"
_OWN_KERNEL = (
    "attention", "c10d", "fsdp", "scatter_add", "scatter_reduce", "index_put", "index_add",
    "sort", "topk", "grouped_mm", "embedding_dense_backward",
)  # fmt: skip
"""Parts of names. Inductor writes `slice_scatter`, and `scatter` of a constant, by elements."""
_SUMS = ("sum", "mean", "amax", "amin", "var_mean", "argmax", "prod", "cumsum", "any", "all")


def register(counting: Counting) -> None:
    """Make the back end known to Dynamo as `BACKEND`, counting there."""
    from torch._inductor.decomposition import select_decomp_table

    def compiler(graph: fx.GraphModule, example: Sequence[Any]) -> Callable[..., Any]:
        return _boxed(graph, counting)

    register_backend(
        aot_autograd(
            fw_compiler=compiler,
            bw_compiler=compiler,
            inference_compiler=compiler,
            decompositions=select_decomp_table(),
            partition_fn=min_cut_rematerialization_partition,
        ),
        name=BACKEND,
    )


def _boxed(graph: fx.GraphModule, counting: Counting) -> Callable[..., Any]:
    """A function of a list of arguments, which it empties: so nothing lives longer than needed."""
    fused = fused_work(graph, counting.vocabulary)

    def run(arguments: list[Any]) -> Any:
        runner = _Runner(graph, counting, fused.written)
        for group, work in fused.groups.items():
            counting.groups[group].add(work)
        given = list(arguments)
        arguments.clear()
        return runner.run(*given)

    run._boxed_call = True  # type: ignore[attr-defined]
    return run


class _Runner(fx.Interpreter):
    """Runs a graph; what is fused makes no tensor but those that are written."""

    def __init__(self, graph: fx.GraphModule, counting: Counting, written: set[fx.Node]) -> None:
        super().__init__(graph)
        self.counting = counting
        self.written = written

    def run_node(self, n: fx.Node) -> Any:
        if n.op != "call_function" or not is_fusible(n):
            return super().run_node(n)
        with self.counting.unseen():
            out = super().run_node(n)
        if n in self.written:
            self.counting.memory.add(t for t in tree_leaves(out) if isinstance(t, Tensor))
        return out


@dataclass
class Fused:
    """What the fused kernels of a graph do, and which of its nodes they write."""

    groups: dict[str, Work]
    written: set[fx.Node]


def fused_work(graph: fx.GraphModule, vocabulary: frozenset[int]) -> Fused:
    """What Inductor would make of the operations between a graph's kernels, as an estimate.

    Written to memory are sums over rows and what a kernel or the graph's caller reads; all else is
    computed again wherever it is used, as Inductor does. What is written between the same kernels
    and shares what it reads is one fused kernel.
    """
    nodes = [node for node in graph.graph.nodes if node.op == "call_function"]
    written = [node for node in nodes if is_fusible(node) and _must_be_written(node)]
    level: dict[fx.Node, int] = defaultdict(int)
    for node in graph.graph.nodes:
        level[node] = max((level[source] for source in node.all_input_nodes), default=0)
        level[node] += node.op == "call_function" and not is_fusible(node) and not is_free(node)
    reads = {node: _memory_read(node, frozenset(written)) for node in written}
    by_level: dict[int, list[fx.Node]] = defaultdict(list)
    for node in written:
        by_level[level[node]].append(node)
    groups: dict[str, Work] = defaultdict(Work)
    for between in by_level.values():
        for part in _sharing(between, reads):
            _add(groups, part, reads, vocabulary)
    return Fused(dict(groups), set(written))


def _must_be_written(node: fx.Node) -> bool:
    return _name(node) in _SUMS or any(
        user.op == "output" or not is_fusible(user) for user in _users(node)
    )


def _memory_read(node: fx.Node, written: frozenset[fx.Node]) -> set[fx.Node]:
    """What a node reads, seen through views and through what is computed again."""
    found: set[fx.Node] = set()
    seen: set[fx.Node] = set()
    waiting = list(node.all_input_nodes)
    while waiting:
        source = waiting.pop()
        if source in seen:
            continue
        seen.add(source)
        inside = source.op == "call_function" and (is_free(source) or is_fusible(source))
        if inside and source not in written:
            waiting += source.all_input_nodes
        else:
            found.add(source)
    return found


def _sharing(nodes: list[fx.Node], reads: dict[fx.Node, set[fx.Node]]) -> list[set[fx.Node]]:
    """The nodes in sets that read something in common, or one another."""
    parts: list[tuple[set[fx.Node], set[fx.Node]]] = []
    for node in nodes:
        touched, members = {node, *(n for n in reads[node] if _size(n) > 0)}, {node}
        others = []
        for other_touched, other_members in parts:
            if touched & other_touched:
                touched, members = touched | other_touched, members | other_members
            else:
                others.append((other_touched, other_members))
        parts = [*others, (touched, members)]
    return [members for _, members in parts]


def _add(
    groups: dict[str, Work],
    part: set[fx.Node],
    reads: dict[fx.Node, set[fx.Node]],
    vocabulary: frozenset[int],
) -> None:
    """Count one fused kernel: what it reads from outside, each tensor once, and what it writes."""
    outside = {source for node in part for source in reads[node]} - part
    total = sum(map(_size, outside)) + sum(map(_size, part))
    shapes = [value.shape for node in part | outside for value in _values(node)]
    logits = any(len(s) > 1 and _number(s[-1]) in vocabulary for s in shapes)
    group = LOSS if logits else LAYERS
    groups[group].add(Work(kernels=1, bytes=float(total)))


def _users(node: fx.Node) -> set[fx.Node]:
    """The nodes that read a node's memory, seen through views."""
    found: set[fx.Node] = set()
    waiting = list(node.users)
    while waiting:
        user = waiting.pop()
        if user.op == "call_function" and is_free(user):
            waiting += list(user.users)
        else:
            found.add(user)
    return found


def is_free(node: fx.Node) -> bool:
    """Whether a node only looks at memory in another way, or works out a size."""
    operator = isinstance(node.target, torch._ops.OpOverload | torch._ops.HigherOrderOperator)
    return not operator or _name(node) in FREE


def is_fusible(node: fx.Node) -> bool:
    """Whether Inductor writes the code of a node itself."""
    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload) or is_free(node):
        return False
    if target._overloadpacket in flop_registry:
        return False
    return not any(part in target._schema.name for part in _OWN_KERNEL)


def _name(node: fx.Node) -> str:
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target._schema.name.rpartition("::")[2])
    return ""


def _values(node: fx.Node) -> list[Tensor]:
    return [t for t in tree_leaves(node.meta.get("val")) if isinstance(t, Tensor)]


def _size(node: fx.Node) -> int:
    return sum(
        _number(t.numel()) * t.element_size()
        for t in _values(node)
        if not any(isinstance(stride, int) and stride == 0 for stride in t.stride())
    )


def _number(size: Any) -> int:
    """A size; of a graph for all sizes, the one that it was traced with."""
    return int(size if isinstance(size, int) else size.node.hint)
