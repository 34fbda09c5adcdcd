"""Memory that one GPU needs to train a run, worked out before anything starts.

What a rank holds between two steps is exact (tested against the sharded model on the meta device):

    parameters  4 bytes each, in float32, over `shard` x `tensor` ranks; norms and routers are
                whole on every tensor-parallel rank
    gradients   4 bytes each, sharded alike
    optimizer   8 bytes each, sharded alike: AdamW's two moments; 4 where Muon has its momentum; and
                4 for each average of the weights

What comes and goes within a step is an estimate (`planning/passing.py` has a pass), c bytes being
the precision computed in:

    gathered    FSDP2: two layers (the one at work and the next) and the output layer at c bytes a
                parameter. One rank with fused kernels: all parameters at c bytes, since autograd
                keeps each as it was converted
    activations what autograd keeps of the layers. With activation checkpointing each one's input,
                and when it is selective the attention's output and every second product too
    masks       where an objective's attention follows a mask
    and then, whichever is more:
    logits      at the end of the forward pass
    backward    of one layer: its gradients, those of its parameters at c + 4 bytes under FSDP2, and
                with activation checkpointing what it computes again

An evaluation holds parameters and optimizer, and of its passes, whichever is more: what a layer
needs, taken as what autograd would keep of it, or the logits, c bytes each, and 8 bytes of those
that are made float32 at a time: they and their log-softmax. Of vocabulary shards 12: once more,
masked.

Not counted: the CUDA context, NCCL's buffers, those in which DistMuon sends matrices (of about four
layers, over `shard`), the allocator's fragmentation, compilation. Leave 10 % free.
"""

from dataclasses import asdict, dataclass
from typing import Any

from workbench.planning.passing import computed_bytes, divergence_bytes, passed
from workbench.recipe import RunConfig, objective_facts
from workbench.recipe.kernels import fused, scored_positions
from workbench.recipe.sizes import ModelShape
from workbench.recipe.task_names import reads_file_keys

_MASTER = 4  # bytes of float32
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
    """Parameters and optimizer."""
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
    activations_recomputed: int
    """With all of it."""
    logits: int
    backward: int
    """Of one layer, as the run says."""
    backward_recomputed: int
    """With all of activation checkpointing."""
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
        return self._at_the_peak(self.activations, self.backward)

    @property
    def recomputed(self) -> int:
        """What the run would need with activation checkpointing."""
        training = self._at_the_peak(self.activations_recomputed, self.backward_recomputed)
        return max(training, self.evaluation.total)

    @property
    def total(self) -> int:
        """The larger of a training step and an evaluation: what the run needs."""
        return max(self.training, self.evaluation.total)

    def _at_the_peak(self, activations: int, backward: int) -> int:
        # The logits are gone when the layers' backward passes come.
        return self.held + self.gathered + activations + max(self.logits, backward) + self.masks

    def document(self) -> dict[str, Any]:
        """The parts and their sums, for JSON."""
        document = asdict(self) | {"training": self.training, "total": self.total}
        document["evaluation"] |= {"total": self.evaluation.total}
        return document


def memory_per_gpu(config: RunConfig) -> Memory:
    """The estimate for a resolved run, its vocabulary known."""
    shape, parallelism, training = config.model.shape, config.parallelism, config.training
    tensor, computed = parallelism.tensor, computed_bytes(config)
    fast = fused(training, on_gpu=training.device != "cpu")
    wrapped = parallelism.world_size > 1 or (computed == 2 and not fast)
    local = -(-_tensor_local(shape, shape.n_params, tensor) // parallelism.shard)
    stepped_by_muon = shape.layers * shape.n_params_matrices if training.optimizer == "muon" else 0
    averages = (training.ema is not None) + (training.average is not None)
    states = (2 + averages) * local - -(-stepped_by_muon // parallelism.shard)
    layer = _tensor_local(shape, shape.n_params_layer(shape.experts), tensor, layers=1)
    embedding = shape.vocab_size * shape.width // tensor
    gathered = computed * (2 * layer + embedding) if wrapped else 0
    # Each weight as it was converted, where FSDP2 does not gather it.
    converted = computed * local if fast and not wrapped and computed < _MASTER else 0
    sequences = config.trained_at_once * objective_facts(training.objective).presentations(training)
    step = passed(config, sequences, chunked=fast and tensor == 1)
    windows, scored = (
        passed(config, rows) for rows in (config.scored_at_once, _scored_at_most(config))
    )
    checkpointing = training.activation_checkpointing or False
    layer_kept = {False: step.layer, "selective": step.layer_selected, True: step.layer_input}
    gradients = step.layer_gradients + ((computed + 4) * layer if wrapped else 0)
    at_once = scored_positions(shape.vocab_size // tensor) * (shape.vocab_size // tensor)
    return Memory(
        parameters=_MASTER * local,
        gradients=_MASTER * local,
        optimizer=_MASTER * states,
        gathered=gathered or converted,
        activations=shape.depth * layer_kept[checkpointing],
        activations_kept=shape.depth * step.layer,
        activations_recomputed=shape.depth * step.layer_input,
        logits=step.logits_peak,
        backward=gradients + step.layer - layer_kept[checkpointing],
        backward_recomputed=gradients + step.layer - step.layer_input,
        masks=step.masks,
        evaluation=EvaluationMemory(
            held=_MASTER * (local + states),
            gathered=gathered,
            activations=scored.layer,
            # Tasks make those of their answers alone, and so never more.
            logits=computed * windows.logits
            + ((12 if tensor > 1 else 8) + divergence_bytes(config)) * min(windows.logits, at_once),
            masks=scored.masks,
        ),
        assumed=(
            f"{'float32' if computed == 4 else 'bfloat16'}, {sequences} sequences at once, "
            f"activation checkpointing {_CHECKPOINTING[checkpointing]}"
        ),
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


def _tensor_local(
    shape: ModelShape, parameters: int, tensor: int, *, layers: int | None = None
) -> int:
    """Parameters of one tensor-parallel rank: all matrices are cut, norms and routers are not."""
    head = 2 * shape.head_dim if shape.qk_norm else 0
    whole = 2 * shape.width + head + shape.width * (shape.experts or 0)
    whole = whole * shape.layers + shape.width if layers is None else whole * layers
    return (parameters - whole) // tensor + whole
