"""Memory that one GPU needs to train a run, worked out before anything starts.

What a rank holds between two steps is exact (tested against the sharded model on the meta device):

    parameters  4 bytes each, in float32, over `shard` x `tensor` ranks; norms and routers are
                whole on every tensor-parallel rank
    gradients   4 bytes each, sharded alike
    AdamW       8 bytes each (two moments), sharded alike

What comes and goes within a step is an estimate, c bytes being the precision computed in, B the
sequences that pass at once (of a micro-batch, each as often as the objective presents it), L the
tokens and T the inputs of each (2 L where the network reads two streams), d the width, f the
feed-forward's, t the tensor-parallel ranks:

    gathered    FSDP2: two layers (the one at work and the next) and the embeddings at c bytes a
                parameter, one layer's gradient at c + 4 bytes. One rank with fused kernels: all
                parameters at c bytes, since autograd keeps each as it was converted
    activations what autograd keeps of a layer, a token: c (2 d / t + 2 d + (6 d + 4 f) / t), that
                is the residual stream before each norm (sharded under sequence parallelism), the
                two norms' outputs, q and k before and after their norm, v, the attention's output,
                and four of the feed-forward. In a mixture 4 f becomes k (d + 4 f) and
                4 k d + 8 E bytes more. Dropout keeps two masks of d. A norm is one kernel, as on
                a GPU. With activation checkpointing: each layer's input, when it is selective
                the attention's output and every second product too, and of one layer all that is
                more than the logits, which are gone when it is computed again
    logits      with fused kernels R V (4 + 3 c) of the R positions that are made at a time, V d
                (4 + c) for the gradient of their weights, and 3 c d of each position; else
                B L V / t times 8 + 2 c: twice in float32 and twice as computed, at the peak
    masks       5 T^2, as booleans and as float32 to add, where an objective's attention follows a
                mask: once a batch, or for each of B sequences

An evaluation holds parameters and AdamW, and of a pass, B being the sequences scored at once,
whichever is more: what a layer needs, taken as what autograd would keep of it, or the logits, c
bytes each, and 8 bytes of those that are made float32 at a time: they and their log-softmax.

Not counted: the CUDA context, NCCL's buffers, the allocator's fragmentation, compilation. Leave
10 % free.
"""

from dataclasses import asdict, dataclass
from typing import Any

from workbench.recipe import RunConfig, objective_facts
from workbench.recipe.kernels import (
    LOGITS,
    SOFTMAX_LOGITS,
    fused,
    rows_computed,
    rows_of,
    scored_positions,
)
from workbench.recipe.sizes import ModelShape
from workbench.recipe.task_names import reads_file_keys

_MASTER = 4  # bytes of float32
_MASK = 5  # bytes of a boolean and of a float32
_CHECKPOINTING = {False: "off", True: "on", "selective": "selective"}


@dataclass(frozen=True)
class Held:
    """Bytes that one rank holds between two steps."""

    n_params: int
    """Of the whole model."""
    parameter_bytes: int
    gradient_bytes: int
    optimizer_bytes: int

    @property
    def total(self) -> int:
        return self.parameter_bytes + self.gradient_bytes + self.optimizer_bytes


@dataclass(frozen=True)
class EvaluationMemory:
    """Bytes of one GPU while a run evaluates, part by part, at the peak of its passes."""

    held: int
    """Parameters and AdamW."""
    gathered: int
    activations: int
    """Of one layer."""
    logits: int
    masks: int

    @property
    def total(self) -> int:
        # A layer's are gone when the logits come.
        return self.held + self.gathered + max(self.activations, self.logits) + self.masks


@dataclass(frozen=True)
class Memory:
    """Bytes of one GPU, part by part: of a training step, and of an evaluation."""

    parameters: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    """With activation checkpointing or without, as the run says."""
    activations_kept: int
    """Without it."""
    activations_selected: int
    """With it where it is selective."""
    activations_recomputed: int
    """With all of it."""
    logits: int
    masks: int
    """Of attention, where the objective has masks of its own."""
    evaluation: EvaluationMemory
    assumed: str
    """What a reader must know of the numbers."""

    @property
    def held(self) -> int:
        """Between two steps."""
        return self.parameters + self.gradients + self.optimizer

    @property
    def training(self) -> int:
        """At the peak of a training step."""
        return self.held + self.gathered + self.activations + self.logits + self.masks

    @property
    def recomputed(self) -> int:
        """What the run would need with activation checkpointing."""
        training = self.training - self.activations + self.activations_recomputed
        return max(training, self.evaluation.total)

    @property
    def total(self) -> int:
        """The larger of a training step and an evaluation: what the run needs."""
        return max(self.training, self.evaluation.total)

    def document(self) -> dict[str, Any]:
        """The parts and their sums, for JSON."""
        document = asdict(self) | {"training": self.training, "total": self.total}
        document["evaluation"] |= {"total": self.evaluation.total}
        return document


def memory_per_gpu(config: RunConfig) -> Memory:
    """The estimate for a resolved run, its vocabulary known."""
    shape, parallelism, training = config.model.shape, config.parallelism, config.training
    tensor, shard = parallelism.tensor, parallelism.shard
    computed, vocabulary = _computed_bytes(config), shape.vocab_size // tensor
    fast = fused(training, on_gpu=training.device != "cpu")
    wrapped = parallelism.world_size > 1 or (computed == 2 and not fast)
    local = -(-_tensor_local(shape, shape.n_params, tensor) // shard)
    layer = _tensor_local(shape, shape.n_params_layer(shape.experts), tensor, layers=1)
    embeddings = computed * shape.n_params_embedding // tensor
    # Each weight as it was converted, where FSDP2 does not gather it.
    converted = computed * local if fast and computed < _MASTER else 0
    sequences = config.trained_at_once * objective_facts(training.objective).presentations(training)
    step, scored = _passed(config, sequences), _passed(config, _scored_at_most(config))
    logits = (
        _chunked_logits(config, sequences)
        if fast and tensor == 1
        else (step.logits * (8 + 2 * computed))
    )
    again = max(0, step.layer - logits)
    activations = {
        None: shape.layers * step.layer,
        "selective": shape.layers * step.layer_selected + again,
        True: shape.layers * step.layer_input + again,
    }
    return Memory(
        parameters=_MASTER * local,
        gradients=_MASTER * local,
        optimizer=2 * _MASTER * local,
        gathered=(2 * computed + computed + 4) * layer + embeddings if wrapped else converted,
        activations=activations[training.activation_checkpointing or None],
        activations_kept=activations[None],
        activations_selected=activations["selective"],
        activations_recomputed=activations[True],
        logits=logits,
        masks=step.masks,
        evaluation=EvaluationMemory(
            held=3 * _MASTER * local,
            gathered=2 * computed * layer + embeddings if wrapped else 0,
            activations=scored.layer,
            logits=computed * scored.logits
            + 8 * min(scored.logits, scored_positions(vocabulary) * vocabulary),
            masks=scored.masks,
        ),
        assumed=(
            f"{'float32' if computed == 4 else 'bfloat16'}, {sequences} sequences at once, "
            f"activation checkpointing {_CHECKPOINTING[training.activation_checkpointing or False]}"
        ),
    )


@dataclass(frozen=True)
class _Passed:
    """What some sequences come to as they pass the network: bytes, and logits in number."""

    layer: int
    """What autograd keeps of one layer."""
    layer_input: int
    layer_selected: int
    """The input, the attention's output and every second product."""
    logits: int
    masks: int


def _passed(config: RunConfig, sequences: int) -> _Passed:
    shape, parallelism = config.model.shape, config.parallelism
    facts, computed = objective_facts(config.training.objective), _computed_bytes(config)
    length = facts.streams * config.data.seq_len
    tokens = sequences * length
    masks = {"mask a batch": 1, "mask a sequence": sequences}.get(facts.attention, 0)
    tensor, width = parallelism.tensor, shape.width
    residual = tensor if parallelism.sequence_parallel else 1
    # Compiled, q, k and v come of one product, and both inputs of SwiGLU too.
    products = (4 * width + (2 if config.training.compile else 1) * shape.ffn) / tensor
    return _Passed(
        layer=tokens * _layer_bytes(config, shape, computed, tensor, residual),
        layer_input=tokens * computed * width // residual,
        layer_selected=round(tokens * computed * (width / residual + products)),
        logits=sequences * config.data.seq_len * shape.vocab_size // tensor,
        masks=masks * _MASK * length**2,
    )


def _chunked_logits(config: RunConfig, sequences: int) -> int:
    """Bytes at the peak of a loss that is made of some positions at a time (`training.head`)."""
    shape, computed = config.model.shape, _computed_bytes(config)
    positions, vocabulary = sequences * config.data.seq_len, shape.vocab_size
    # Of masked diffusion under a linear schedule half of the positions count.
    halved = config.training.objective == "mdlm" and config.training.noise_schedule in (
        None,
        "linear",
    )
    counted = rows_computed(positions, positions // 2 if halved else None, vocabulary)
    rows = min(counted, rows_of(LOGITS, vocabulary))
    in_float32 = min(rows, rows_of(SOFTMAX_LOGITS, vocabulary))
    several = counted > rows
    return (
        vocabulary * (rows * computed + in_float32 * 2 * _MASTER)
        + vocabulary * shape.width * computed * (1 if not several else 2)
        + (vocabulary * shape.width * _MASTER if several else 0)
        + 3 * computed * positions * shape.width
    )


def _scored_at_most(config: RunConfig) -> int:
    """Sequences of the largest pass of an evaluation.

    Tasks fill a batch with all draws of a few continuations at a time. Cloze questions are of one
    length, so that its last ones end with the batch or a little behind it. Those of files are not,
    and one continuation too few may be followed by as many as there is room for in a batch.
    """
    evaluation, batch = config.evaluation, config.scored_at_once
    most = [batch]
    for task in evaluation.tasks:
        of_file = reads_file_keys(task)
        draws = evaluation.task_draws if of_file else evaluation.cloze_draws
        together = max(1, batch // (draws or 1))
        most.append(batch - 1 + together if of_file else -(-batch // together) * together)
    return max(most)


def _computed_bytes(config: RunConfig) -> int:
    return 4 if config.training.dtype == "float32" else 2


def _tensor_local(
    shape: ModelShape, parameters: int, tensor: int, *, layers: int | None = None
) -> int:
    """Parameters of one tensor-parallel rank: all matrices are cut, norms and routers are not."""
    head = 2 * shape.head_dim if shape.qk_norm else 0
    whole = 2 * shape.width + head + shape.width * (shape.experts or 0)
    whole = whole * shape.layers + shape.width if layers is None else whole * layers
    return (parameters - whole) // tensor + whole


def _layer_bytes(
    config: RunConfig, shape: ModelShape, computed: int, tensor: int, residual: int
) -> int:
    """What autograd keeps of one layer, a token."""
    width, ffn = shape.width, shape.ffn
    stream = 2 * width / residual + 2 * width
    attention = (6 if shape.qk_norm else 4) * width / tensor
    more = 0.0
    if shape.experts is None or shape.top_k is None:
        feed_forward = 4 * ffn / tensor
    else:
        feed_forward = shape.top_k * (width + 4 * ffn / tensor)
        more = 4 * shape.top_k * width + 8 * shape.experts
    masks = 2 * width / residual if config.model.dropout else 0
    return round(computed * (stream + attention + feed_forward + masks) + more)
