"""From a resolved run to TorchTitan's `Trainer.Config`."""

from pathlib import Path

from torchtitan.config import TORCH_DTYPE_MAP
from torchtitan.config.configs import (
    CommConfig,
    CompileConfig,
    DebugConfig,
    ParallelismConfig,
    TrainingConfig,
)
from torchtitan.distributed.activation_checkpoint import (
    ActivationCheckpointing,
    FullAC,
    SelectiveAC,
)

from workbench.data import PreparedData
from workbench.data.streams import anneal_start
from workbench.recipe import RunConfig, objective_facts
from workbench.recipe.kernels import fused
from workbench.runs.started_as import StartedAs
from workbench.training.checkpoints import StoppableCheckpoints
from workbench.training.loader import WindowLoader
from workbench.training.loss import WeightedNLL
from workbench.training.masks import form_for
from workbench.training.model import RouterWeights, model_spec
from workbench.training.optimizers import optimizers
from workbench.training.record_metrics import RecordingMetrics
from workbench.training.schedule import WSD
from workbench.training.trainer import NoTokenizer, StudyTrainer


def trainer_config(
    config: RunConfig, prepared: PreparedData, run_folder: Path, start: StartedAs
) -> StudyTrainer.Config:
    """Titan's configuration of one run, on the device and in the precision that it starts with."""
    training, data, parallelism = config.training, config.data, config.parallelism
    facts = objective_facts(training.objective)
    anneal_step = anneal_start(config)
    fast = fused(training, on_gpu=start.device == "cuda")
    return StudyTrainer.Config(
        model_spec=model_spec(
            config.model,
            seq_len=data.seq_len,
            causal=facts.causal,
            router=RouterWeights(training.moe_aux_weight or 0.0, training.moe_z_weight or 0.0),
            doubled=facts.streams == 2,
            shard_one_rank=start.dtype != "float32" and not fast,
            # Eager, what one product saves is less than what taking its parts again costs.
            products_together=fast and start.compile,
            masks=form_for(
                TORCH_DTYPE_MAP[start.dtype],
                device=start.device if fast else "cpu",
                head_dim=config.model.shape.head_dim,
            ),
        ),
        dump_folder=str(run_folder),
        metrics=RecordingMetrics.Config(log_freq=training.log_every, disable_color_printing=True),
        tokenizer=NoTokenizer.Config(),
        dataloader=WindowLoader.Config(
            folder=str(prepared.folder),
            data=data.model_dump_json(),
            order_seed=training.seed,
            global_batch=training.batch_size,
            anneal_from=None if anneal_step is None else anneal_step * training.batch_size,
        ),
        optimizer=optimizers(config),
        lr_scheduler=WSD.Config(
            warmup_steps=training.warmup_steps or 0,
            total_steps=config.steps,
            decay_steps=config.steps - config.steps_before_decay,
            shape=training.decay or "exponential",
            min_lr_factor=training.min_lr_ratio,
        ),
        training=TrainingConfig(
            local_batch_size=config.trained_at_once,
            global_batch_size=training.batch_size,
            seq_len=data.seq_len,
            max_norm=training.grad_clip,
            steps=config.steps,
            mixed_precision_param=start.dtype,
            disable_cuda_graphs=not (training.cuda_graphs and parallelism.world_size == 1),
        ),
        parallelism=ParallelismConfig(
            data_parallel_replicate_degree=parallelism.replicate,
            data_parallel_shard_degree=parallelism.shard,
            tensor_parallel_degree=parallelism.tensor,
            enable_sequence_parallel=parallelism.sequence_parallel,
        ),
        checkpoint=StoppableCheckpoints.Config(
            enable=True,
            interval=training.checkpoint_every or config.steps,
            keep_latest_k=2,
            keep_step=config.trunk_steps,
            kept_steps=tuple(config.kept_steps),
            # The last checkpoint keeps the optimizer: a finished run can be extended.
            last_save_model_only=False,
        ),
        activation_checkpoint=_recomputation(training.activation_checkpointing),
        compile=CompileConfig(enable=start.compile),
        comm=CommConfig(trace_buf_size=0),
        loss=WeightedNLL.Config(
            n_tokens=prepared.vocab.n_tokens, vocab_size=prepared.vocab.size, chunked=fast
        ),
        debug=DebugConfig(
            seed=training.seed,
            # Titan then also sets the workspace that cuBLAS needs for it, and has torch choose
            # among attention's backends those that can.
            deterministic=bool(training.deterministic),
            enable_structured_logging=False,
        ),
    )


def _recomputation(asked: bool | str | None) -> ActivationCheckpointing.Config | None:
    """What the backward pass computes again. No layer draws from a generator, whose state titan
    would otherwise save and restore around each."""
    if not asked:
        return None
    kind = SelectiveAC if asked == "selective" else FullAC
    return kind.Config(preserve_rng_state=False)
