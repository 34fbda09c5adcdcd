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
                parameter, one layer's gradient at c + 4 bytes
    activations what autograd keeps of a layer, a token: c (2 d / t + 2 d + (6 d + 4 f) / t), that
                is the residual stream before each norm (sharded under sequence parallelism), the
                two norms' outputs, q and k before and after their norm, v, the attention's output,
                and four of the feed-forward. In a mixture 4 f becomes k (d + 4 f) and
                4 k d + 8 E bytes more. Dropout keeps two masks of d. A norm is one kernel, as on
                a GPU. With activation checkpointing: each layer's input, and all of one layer
    logits      B L V / t times 8 + 2 c: twice in float32 and twice as computed, at the peak
    masks       5 T^2, as booleans and as float32 to add, where an objective's attention follows a
                mask: once a batch, or for each of B sequences

Not counted: the CUDA context, NCCL's buffers, the allocator's fragmentation, compilation. Leave
10 % free.
"""

from dataclasses import asdict, dataclass

from workbench.recipe import RunConfig, objective_facts
from workbench.recipe.sizes import ModelShape

_MASTER = 4  # bytes of float32
_MASK = 5  # bytes of a boolean and of a float32


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
class Memory:
    """Bytes of one GPU, part by part."""

    parameters: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    """With activation checkpointing or without, as the run says."""
    activations_kept: int
    """Without it."""
    activations_recomputed: int
    """With it."""
    logits: int
    masks: int
    """Of attention, where the objective has masks of its own."""
    assumed: str
    """What a reader must know of the numbers."""

    @property
    def total(self) -> int:
        between_steps = self.parameters + self.gradients + self.optimizer
        return between_steps + self.gathered + self.activations + self.logits + self.masks

    def document(self) -> dict[str, int | str]:
        """The parts and their sum, for JSON."""
        return asdict(self) | {"total": self.total}


def memory_per_gpu(config: RunConfig) -> Memory:
    """The estimate for a resolved run, its vocabulary known."""
    shape, parallelism, training = config.model.shape, config.parallelism, config.training
    tensor, shard = parallelism.tensor, parallelism.shard
    computed = 4 if training.dtype == "float32" else 2
    wrapped = parallelism.world_size > 1 or computed == 2
    local = -(-_tensor_local(shape, shape.n_params, tensor) // shard)
    layer = _tensor_local(shape, shape.n_params_layer(shape.experts), tensor, layers=1)
    embeddings = 2 * shape.vocab_size * shape.width // tensor
    micro = training.micro_batch_size or training.batch_size // parallelism.data_ranks
    facts = objective_facts(training.objective)
    sequences = micro * facts.presentations(training)
    outputs = sequences * config.data.seq_len
    length = facts.streams * config.data.seq_len
    tokens = sequences * length
    masks = {"mask a batch": 1, "mask a sequence": sequences}.get(facts.attention, 0)
    residual = tensor if parallelism.sequence_parallel else 1
    one_layer = tokens * _layer_bytes(config, shape, computed, tensor, residual)
    kept = shape.layers * one_layer
    recomputed = shape.layers * tokens * computed * shape.width // residual + one_layer
    return Memory(
        parameters=_MASTER * local,
        gradients=_MASTER * local,
        optimizer=2 * _MASTER * local,
        gathered=(2 * computed + computed + 4) * layer + computed * embeddings if wrapped else 0,
        activations=recomputed if training.activation_checkpointing else kept,
        activations_kept=kept,
        activations_recomputed=recomputed,
        logits=outputs * shape.vocab_size // tensor * (8 + 2 * computed),
        masks=masks * _MASK * length**2,
        assumed=(
            f"{'float32' if computed == 4 else 'bfloat16'}, {sequences} sequences at once, "
            f"activation checkpointing {'on' if training.activation_checkpointing else 'off'}"
        ),
    )


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
