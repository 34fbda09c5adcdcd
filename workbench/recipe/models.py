"""What a recipe can say: one frozen model a table, and the checks between their keys."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from workbench.recipe.data import DataConfig
from workbench.recipe.objectives import BASELINE, CHALLENGER, objectives_reading
from workbench.recipe.points import evenly_spaced
from workbench.recipe.sizes import SIZES, ModelShape, default_ffn
from workbench.recipe.task_names import FILE_NAMES, TASKS, Shots, TaskFile
from workbench.recipe.types import (
    PATTERNS,
    Count,
    Flag,
    Fraction,
    NonNegative,
    ObjectiveName,
    Positive,
    Seed,
    Table,
    Text,
    Whole,
)

AUTO_COMPILE_FLOPS = 1e14
"""Training FLOPs, as planned, from which a run on a CPU is compiled where its recipe leaves that
open: a hundred times the quickstart's, and an hour of one core.

On one thread of a shared AMD EPYC a compiled step took 7 to 8 % less CPU time (0.2M parameters: 53
ms where eager took 57; 5M: 684 and 737), and the code of training alone 16 to 18 s once, which that
gives back after 1e13 to 2e13 FLOPs; evaluation's shapes are as much again."""
DEFAULT_TOP_K = 2
LAST_DRAWS = 8
# Zoph et al. 2022 (ST-MoE, arXiv 2202.08906), and the paper's (arXiv 2511.03276, section 3.1).
MOE_AUX_WEIGHT, MOE_Z_WEIGHT = 1e-2, 1e-3
# Jordan et al. 2024 (kellerjordan.github.io/posts/muon); Liu et al. 2025 (Moonlight, arXiv
# 2502.16982, section 2.2): with 0.2 sqrt(max(rows, columns)), rates and decays of AdamW serve.
MUON_MOMENTUM, MUON_SCALING = 0.95, "match_rms_adamw"


class StudyConfig(Table):
    """`[study]`: what is asked. Not part of a run's identity."""

    name: Annotated[str, Field(pattern=PATTERNS["study"], max_length=100)] = Field(
        description="Letters, digits, '.', '_' and '-', beginning with neither '.' nor '-'."
    )
    question: str = Field("", description="What the study asks.")
    source: str = Field("", description="Where the claim comes from, such as a paper.")

    @field_validator("name", mode="after")
    @classmethod
    def _no_run(cls, name: str) -> str:
        if re.fullmatch("[0-9a-f]{12}", name):
            raise ValueError("a name that is not that of a run: 12 hex digits are a run's id")
        return name


class ModelConfig(Table):
    """`[model]`: a named size, or the shape itself; a shape's keys override a named size's."""

    size: Text | None = Field(None, description="One of: " + ", ".join(SIZES) + ".")
    width: Count | None = Field(None, description="Dimensions of the residual stream.")
    layers: Count | None = Field(None, description="Transformer layers.")
    heads: Count | None = Field(None, description="Attention heads. Divides width.")
    ffn: Count | None = Field(
        None, description="Of each expert in a mixture. Default: floor(8 width / 3 / 64) * 64."
    )
    tied: Flag | None = Field(None, description="One matrix for embedding and output.")
    vocab_size: Count | None = Field(
        None, description="For planning without the data; padded. Read from the tokenizer else."
    )
    rope_theta: Positive = Field(1e4, description="Base of the rotary embedding.")
    norm_eps: Positive = Field(1e-6, description="Added to the mean square in RMSNorm.")
    init_std: Positive = Field(0.02, description="Standard deviation of the initial weights.")
    parametrization: Literal["standard", "mup"] | None = Field(
        None,
        description="mup: initial weights and rates follow the width, so that a rate tuned at one "
        "serves at others. Default: standard.",
    )
    base_width: Count | None = Field(
        None, description="mup: the width at which it is the standard parametrization."
    )
    qk_norm: Flag = Field(True, description="RMSNorm of queries and keys.")
    dropout: Annotated[float, Field(strict=True, ge=0, lt=1)] | None = Field(
        None, description="After embedding, attention and feed-forward, in training. Default: none."
    )
    loops: Count | None = Field(
        None, description="Apply all layers so many times: depth of equal parameters. Default: 1."
    )
    moe_experts: Count | None = Field(None, description="Experts a layer. Default: a dense model.")
    moe_top_k: Count | None = Field(
        None, description="Experts a token. Default: the named size's, else 2."
    )

    @property
    def width_ratio(self) -> float:
        """The width over the base width under muP; 1 in the standard parametrization."""
        if self.parametrization != "mup":
            return 1.0
        assert self.width
        assert self.base_width
        return self.width / self.base_width

    @property
    def shape(self) -> ModelShape:
        """The shape of a resolved model.

        Raises:
            ValueError: a key of the shape, or the vocabulary, is not known yet.
        """
        parts = (self.layers, self.width, self.heads, self.ffn, self.vocab_size)
        if None in parts:
            raise ValueError("the model's shape is not resolved")
        return ModelShape(
            *parts,  # type: ignore[arg-type]
            tied=bool(self.tied),
            qk_norm=self.qk_norm,
            experts=self.moe_experts,
            top_k=self.moe_top_k,
            loops=self.loops or 1,
        )


def _read_by(key: str, meaning: str) -> str:
    """The description of a key of `[training]` that only some objectives read."""
    return f"{objectives_reading('training.' + key)}: {meaning}"


class TrainingConfig(Table):
    """`[training]`: objective, budget, optimiser. Defaults are the paper's where it has them."""

    objective: ObjectiveName = Field(
        description="What the model is trained to predict: see objectives.md."
    )
    total_tokens: Count | None = Field(None, description="The token budget; or give epochs.")
    epochs: Positive | None = Field(None, description="Total tokens over unique tokens.")
    batch_size: Count = Field(description="Sequences a step, over all ranks.")
    micro_batch_size: Count | None = Field(
        None, description="Sequences a rank passes at once; the rest is accumulated."
    )
    optimizer: Literal["adamw", "muon"] | None = Field(
        None,
        description="muon: Muon for the matrices of the layers, AdamW for embedding, norms and "
        "output layer. Default: adamw for all.",
    )
    lr: Positive = Field(description="Peak learning rate.")
    hidden_lr: Positive | None = Field(
        None, description="Peak learning rate of the layers' matrices. Default: lr."
    )
    embedding_lr: Positive | None = Field(
        None, description="Peak learning rate of the embedding. Default: lr."
    )
    head_lr: Positive | None = Field(
        None, description="Peak learning rate of an output layer of its own. Default: lr."
    )
    min_lr_ratio: Fraction = Field(0.1, description="Last learning rate over the peak.")
    warmup_steps: Whole | None = Field(
        None, description="Default: 2 % of the steps, at most 1,000."
    )
    warmup_tokens: Whole | None = Field(
        None, description="The warm-up in tokens, which runs of several lengths can share."
    )
    decay_fraction: Fraction = Field(0.1, description="Share of the steps in the final decay.")
    decay: Literal["exponential", "cosine", "linear", "1-sqrt"] | None = Field(
        None, description="Shape of the final decay. Default: exponential."
    )
    weight_decay: NonNegative = Field(
        0.1, description="Decoupled weight decay, times the rate; norms have none."
    )
    ema: Count | None = Field(
        None,
        description="Tokens over which weights are averaged exponentially: those of so many tokens "
        "ago count 1/e. Evaluated beside the weights, as METRIC@ema. Default: none.",
    )
    average: Literal["stable"] | None = Field(
        None,
        description="stable: the mean of the weights from the end of the warm-up to the decay, "
        "evaluated as METRIC@stable. Default: none.",
    )
    betas: tuple[Fraction, Fraction] = Field((0.9, 0.95), description="Betas of AdamW.")
    muon_momentum: Annotated[float, Field(strict=True, ge=0, lt=1)] | None = Field(
        None, description=f"Nesterov momentum of Muon. Default: {MUON_MOMENTUM}."
    )
    muon_scaling: Literal["match_rms_adamw", "original"] | None = Field(
        None,
        description="Muon's step times 0.2 sqrt(max(rows, columns)), as long as AdamW's, or times "
        f"sqrt(max(1, rows / columns)). Default: {MUON_SCALING}.",
    )
    grad_clip: Positive = Field(1.0, description="Largest norm of the gradient.")
    seed: Seed = Field(0, description="Initial weights, order of the windows, noise.")
    noise_schedule: Literal["linear", "cosine"] | None = Field(
        "linear", description=_read_by("noise_schedule", "the level of noise over time.")
    )
    loss_weighting: Literal["elbo_t", "elbo_realized", "maskgit", "clamped"] | None = Field(
        "elbo_t", description=_read_by("loss_weighting", "how noisy tokens count in the loss.")
    )
    uniform_noise: Fraction | None = Field(
        None,
        description=_read_by(
            "uniform_noise",
            "share of tokens that are random, and not masked, halfway. 0 is mdlm.",
        ),
    )
    input_mask: Fraction | None = Field(
        None,
        description=_read_by(
            "input_mask", "share of input tokens masked in training. Default: none."
        ),
    )
    mask_aux_weight: NonNegative | None = Field(
        None,
        description=_read_by(
            "mask_aux_weight", "train on clean inputs, and with this weight on masked ones."
        ),
    )
    noise_samples: Count | None = Field(
        None, description="Presentations of a sequence in a step, each with own noise. Default: 1."
    )
    block_size: Count | None = Field(
        None,
        description=_read_by("block_size", "tokens denoised together. Divides data.seq_len."),
    )
    moe_aux_weight: NonNegative | None = Field(
        None, description="Mixture of experts: weight of the load-balance loss. Default: 1e-2."
    )
    moe_z_weight: NonNegative | None = Field(
        None, description="Mixture of experts: weight of the router's z-loss. Default: 1e-3."
    )
    activation_checkpointing: Flag | Literal["selective"] | None = Field(
        None,
        description="Compute each layer again in the backward pass: less memory, slower. "
        '"selective" keeps attention and every second product of a layer.',
    )
    kernels: Literal["plain", "fused"] | None = Field(
        None,
        description="fused: the loss of a few positions at a time, of masked ones alone where only "
        "they count; weights converted where they are used; compiled, one product for q, k and v "
        "and one for both inputs of SwiGLU. Default: fused on a GPU, plain on a CPU.",
    )
    cuda_graphs: Flag | None = Field(
        None,
        description="Replay a step's kernels as one CUDA graph: one rank, dense, no dropout. "
        "Untried on a device. Default: no.",
    )
    threads: Count = Field(1, description="CPU threads a rank. Other numbers give other bits.")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 on a GPU, float32 on a CPU."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU where there is one."
    )
    compile: Literal["auto", True, False] = Field(
        "auto",
        description="torch.compile: slower to start, faster to train. auto: on a GPU, and on a CPU "
        f"from {AUTO_COMPILE_FLOPS:g} training FLOPs of a run on.",
    )
    deterministic: Flag | None = Field(
        None,
        description="On a GPU, only operations that give the same bits each time. Slower: how "
        "much was not measured. Default: false.",
    )
    log_every: Count = Field(10, description="Steps between records of the training loss.")
    checkpoint_every: Count | None = Field(
        None, description="Steps between checkpoints. Default: a tenth of the run."
    )
    checkpoint_points: Count | None = Field(
        None,
        description="Keep the weights at so many points, evenly spaced, the end among them. "
        "Default: at the end alone.",
    )


class EvaluationConfig(Table):
    """`[evaluation]`: when and what to measure on held-out text."""

    points: Count | None = Field(
        16, description="Evaluations, evenly spaced; the first step counts too."
    )
    every_tokens: Count | None = Field(
        None,
        description="Evaluate after every so many tokens, the first step and the last, in place of "
        "points: runs of several lengths then have their points in common.",
    )
    tasks: tuple[Text, ...] = Field((), description="Any of: " + ", ".join(TASKS) + ".")
    validation_batch_size: Count | None = Field(
        None, description="Sequences a rank scores at once. Default: as many as it trains on."
    )
    validation_draws: Count | None = Field(
        2, description="Noise draws a window, where the objective has noise."
    )
    validation_draws_last: Count | None = Field(
        None,
        description="The same after the last step. Default: 8, or validation_draws if more.",
    )
    cloze_questions: Count | None = Field(
        256, description="Questions of cloze and cloze_shots, made of held-out text."
    )
    cloze_draws: Count | None = Field(
        4, description="Noise draws an ending, where the objective has noise."
    )
    shots: Shots | None = Field(
        None, description="Solved examples before a question: a metric for each number of them."
    )
    task_files: dict[str, TaskFile] | None = Field(
        None, description="Files of questions, by name: " + ", ".join(FILE_NAMES) + "."
    )
    task_questions: Count | None = Field(
        None, description="At most so many questions of a file. Default: all of it."
    )
    task_draws: Count | None = Field(
        None,
        description="Noise draws an option of a file's question, where the objective has noise. "
        "Default: 32.",
    )
    memorisation: Count | None = Field(
        None, description="Training windows whose ends are asked for verbatim. Default: none."
    )

    @field_validator("tasks", "shots", mode="before")
    @classmethod
    def _list_of_names(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class ParallelismConfig(Table):
    """`[parallelism]`: how many processes train one run, and what each holds."""

    shard: Count = Field(1, description="FSDP2: ranks that share the weights.")
    replicate: Count = Field(1, description="Copies of the sharded weights.")
    tensor: Count = Field(1, description="Tensor-parallel ranks.")
    sequence_parallel: Flag = Field(True, description="Shard norms along the sequence under TP.")

    @property
    def data_ranks(self) -> int:
        """Ranks that read different sequences."""
        return self.shard * self.replicate

    @property
    def world_size(self) -> int:
        return self.data_ranks * self.tensor


class CompareConfig(Table):
    """`[compare]`: which two runs make a pair. Each side is an objective's name or a table of
    dotted keys and values; `match` lists the keys that a pair shares (default: all others).
    A list is any of its values, each a side by itself. Keys and values that no run has are
    refused."""

    baseline: str | dict[str, Any] = Field(
        BASELINE, description="An objective's name, or a table of dotted keys and values."
    )
    challenger: str | dict[str, Any] = Field(
        CHALLENGER, description="The same, of the runs that may overtake the baseline."
    )
    match: tuple[str, ...] | None = Field(
        None, description="Dotted keys that the two runs of a pair share. Default: all others."
    )


class RunTables(Table):
    """The tables of a recipe that decide a run's numbers."""

    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    parallelism: ParallelismConfig = ParallelismConfig()

    @property
    def tokens_per_step(self) -> int:
        return self.training.batch_size * self.data.seq_len

    @property
    def trained_at_once(self) -> int:
        """Sequences of a batch that a rank passes at once."""
        ranks = self.parallelism.data_ranks
        return self.training.micro_batch_size or self.training.batch_size // ranks

    @property
    def scored_at_once(self) -> int:
        """Sequences that a rank passes at once in an evaluation."""
        return self.evaluation.validation_batch_size or self.trained_at_once

    @property
    def steps(self) -> int:
        """Optimizer steps that the token budget buys; what is left of a step is not trained."""
        return (self.training.total_tokens or 0) // self.tokens_per_step

    @property
    def kept_steps(self) -> list[int]:
        """Steps before the last whose weights are kept: those of `checkpoint_points`."""
        points = self.training.checkpoint_points
        return evenly_spaced(self.steps, points)[:-1] if points else []

    @property
    def steps_before_decay(self) -> int:
        """Steps up to where the learning rate begins to fall: a longer run is the same so far."""
        return self.steps - round(self.steps * self.training.decay_fraction)

    @property
    def trunk_steps(self) -> int:
        """Steps from which a longer run can go on, at most one less than all: the last step is
        evaluated with more draws."""
        return min(self.steps_before_decay, self.steps - 1)

    @property
    def evaluation_steps(self) -> list[int]:
        """Steps after which the run is evaluated: the first and the last always among them."""
        every = self.evaluation.every_tokens
        if every is None:
            return sorted({1, *evenly_spaced(self.steps, self.evaluation.points or 1)})
        return sorted({1, *range(0, self.steps, every // self.tokens_per_step), self.steps} - {0})

    @property
    def epochs(self) -> float:
        return (self.training.total_tokens or 0) / self.data.unique_tokens


class RunConfig(RunTables):
    """Everything that decides a run's numbers."""

    plugins: dict[str, dict[str, int]] | None = None
    """By kind and name, the `numbers` of each plug-in that the run uses; in no recipe."""

    @model_serializer(mode="wrap")
    def _without_absent_plugins(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A run without plug-ins is written as it was before there were any."""
        document: dict[str, Any] = handler(self)
        if document.get("plugins") is None:
            document.pop("plugins", None)
        return document


def resolved_model(model: ModelConfig) -> ModelConfig:
    """The model with its named size, default feed-forward width and tying filled in."""
    named = SIZES[model.size] if model.size else None
    changes: dict[str, Any] = {}
    for key in ("layers", "width", "heads", "ffn", "tied"):
        if getattr(model, key) is None and named is not None:
            changes[key] = getattr(named, key)
    if model.ffn is None and model.width is not None:
        changes["ffn"] = default_ffn(model.width)  # another width than the named one
    if model.tied is None:
        changes.setdefault("tied", True)
    if model.moe_experts is None and named is not None:
        changes["moe_experts"] = named.experts
    if model.moe_top_k is None and (model.moe_experts or changes.get("moe_experts")):
        changes["moe_top_k"] = (named and named.top_k) or DEFAULT_TOP_K
    return model.model_copy(update=changes)
