"""What some sequences come to as they pass the network, in bytes: part of the memory's estimate.

c bytes being the precision computed in, B the sequences that pass at once (of a micro-batch, each
as often as the objective presents it), L the tokens and T the inputs of each (2 L where the network
reads two streams), V the vocabulary, d the width, f that of the feed-forward, t the tensor-parallel
ranks:

    layer       what autograd keeps of one, a token: c (2 d / t + 2 d + (6 d + 4 f) / t), that is
                the residual stream before each norm (sharded under sequence parallelism), the two
                norms' outputs, q and k before and after their norm, v, the attention's output, and
                four of the feed-forward. In a mixture 4 f becomes k (d + 4 f) and 4 k d + 8 E bytes
                more. Dropout keeps two masks of d. A norm is one kernel, as on a GPU
    gradients   in the backward pass of a layer, a token: c (d + 2 f / t)
    logits      in chunks (`training.head`) R V c of the R positions of a chunk, and of the chunk
                before where there are several; 4 bytes each of the few that are made float32 at a
                time; V d c for the gradient of their weights, and 4 more where it is a sum over
                chunks; 3 c d of each position. Else B L V / t times 8 + 2 c: twice in float32 and
                twice as computed; of vocabulary shards (t > 1) 16: four times in float32. 20 more
                for each in float32 where the loss is a divergence: noise that replaces tokens
    masks       T^2 bytes of booleans: the built-in objectives have one for all sequences on a GPU,
                where attention follows a rule. Else 1 + c bytes, once a batch or for each of B
                sequences
"""

from dataclasses import dataclass

from workbench.recipe import RunConfig, objective_facts
from workbench.recipe.kernels import LOGITS, SOFTMAX_LOGITS, rows_of
from workbench.recipe.sizes import ModelShape


@dataclass(frozen=True)
class Passed:
    """Bytes, but for the number of logits."""

    layer: int
    """What autograd keeps of one layer."""
    layer_input: int
    layer_selected: int
    """The input, the attention's output and every second product."""
    layer_gradients: int
    logits: int
    """How many there are, of all positions."""
    logits_peak: int
    """Bytes at the peak of the training loss."""
    masks: int


def passed(config: RunConfig, sequences: int, *, chunked: bool = False) -> Passed:
    """What `sequences` come to on one rank.

    Args:
        chunked: the training loss is made of some positions at a time.
    """
    shape, parallelism = config.model.shape, config.parallelism
    facts, computed = objective_facts(config.training.objective), computed_bytes(config)
    length = facts.streams * config.data.seq_len
    tokens = sequences * length
    tensor, width = parallelism.tensor, shape.width
    residual = tensor if parallelism.sequence_parallel else 1
    # Compiled, q, k and v come of one product, and both inputs of SwiGLU too.
    products = (4 * width + (2 if config.training.compile else 1) * shape.ffn) / tensor
    routed = shape.top_k or 1
    gradients = width / residual + routed * 2 * shape.ffn / tensor
    logits = sequences * config.data.seq_len * shape.vocab_size // tensor
    return Passed(
        layer=tokens * _layer_bytes(config, shape, computed, tensor, residual),
        layer_input=tokens * computed * width // residual,
        layer_selected=round(tokens * computed * (width / residual + products)),
        layer_gradients=round(tokens * computed * gradients),
        logits=logits,
        logits_peak=_chunked_logits(config, sequences)
        if chunked
        else logits * (divergence_bytes(config) + (16 if tensor > 1 else 8 + 2 * computed)),
        masks=_mask_bytes(config, sequences) * length**2,
    )


def _mask_bytes(config: RunConfig, sequences: int) -> int:
    """Of each pair of inputs."""
    facts = objective_facts(config.training.objective)
    masks = {"mask a batch": 1, "mask a sequence": sequences}.get(facts.attention, 0)
    if config.training.device != "cpu" and facts.implementation.startswith("workbench."):
        return min(masks, 1)
    return masks * (1 + computed_bytes(config))


def _chunked_logits(config: RunConfig, sequences: int) -> int:
    shape, computed = config.model.shape, computed_bytes(config)
    positions = sequences * config.data.seq_len
    vocabulary = shape.vocab_size
    rows = rows_of(LOGITS, vocabulary)
    parted = positions > rows  # each chunk's logits are made while those before it are there
    logits = min(positions, rows * (2 if parted else 1)) * vocabulary * computed
    in_float32 = min(positions, rows_of(SOFTMAX_LOGITS, vocabulary)) * vocabulary
    in_float32 *= 4 + divergence_bytes(config)
    weights = vocabulary * shape.width * (computed + (4 if parted else 0))
    return logits + in_float32 + weights + 3 * computed * positions * shape.width


def divergence_bytes(config: RunConfig) -> int:
    """Of each logit, where a loss depends on the probabilities of all tokens: see
    `training.divergence`, which makes five numbers of each beside the log-softmax's place."""
    return 20 if objective_facts(config.training.objective).whole_distribution else 0


def computed_bytes(config: RunConfig) -> int:
    """Bytes of a number in the precision that a run computes in, on a GPU."""
    return 4 if config.training.dtype == "float32" else 2


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
