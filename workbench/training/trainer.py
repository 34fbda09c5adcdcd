"""TorchTitan's trainer with an objective plugged in.

Two overrides carry the science: `post_dataloading_process` corrupts the batch on the device,
and `_forward_backward_body` hands the objective's weights to the loss. `train_step` adds what a
study needs around a step: its evaluation, its speed, and the request to stop. Between logging
steps the host never waits for the device.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torchtitan.components.tokenizer import BaseTokenizer
from torchtitan.distributed import utils as dist_utils
from torchtitan.trainer import Trainer

from workbench.training.averages import Average
from workbench.training.checkpoints import StoppableCheckpoints
from workbench.training.dropout import DropoutKeys
from workbench.training.energy import JOULES, EnergyMeter
from workbench.training.loader import Batch, OnHost, on_device
from workbench.training.loss import WeightedNLL
from workbench.training.masks import mask_form
from workbench.training.moe import Routers
from workbench.training.objectives.base import Objective, TokenBatch
from workbench.training.record_metrics import RecordingMetrics


class NoTokenizer(BaseTokenizer):
    """The data is tokenised before training: titan's slot for a tokenizer stays empty."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseTokenizer.Config):
        pass

    def __init__(self, config: Config, **kwargs: Any) -> None:
        super().__init__()

    def encode(self, *args: Any, **kwargs: Any) -> list[int]:
        raise TypeError("training reads token shards and never encodes text")

    def decode(self, *args: Any, **kwargs: Any) -> str:
        raise TypeError("training reads token shards and never decodes text")

    def get_vocab_size(self) -> int:
        return 0


@dataclass
class Hooks:
    """The worker's callbacks, which the trainer calls."""

    evaluate: Callable[[int], None]
    """Called after each step in `evaluation_steps`, before that step's checkpoint."""
    evaluation_steps: frozenset[int]
    on_step: Callable[[int], None]
    stop_requested: Callable[[], bool]
    flush: Callable[[], None] = field(default=lambda: None)
    """Called before a checkpoint: a record may precede its checkpoint, never the reverse."""


class StudyTrainer(Trainer):
    """One run of a study."""

    @dataclass(kw_only=True, slots=True)
    class Config(Trainer.Config):
        pass

    objective: Objective
    hooks: Hooks
    loss_fn: WeightedNLL
    metrics_processor: RecordingMetrics
    checkpointer: StoppableCheckpoints

    def attach(
        self,
        objective: Objective,
        hooks: Hooks,
        averages: Sequence[Average] = (),
        energy: EnergyMeter | None = None,
    ) -> None:
        """Give the built trainer its objective, its hooks, the averages of its weights and, on a
        GPU, what measures its energy. Call once, before `train`."""
        self.objective = objective
        self.hooks = hooks
        self.averages = averages
        self.energy = energy
        self.checkpointer.take_averages(averages)
        self.checkpointer.stop_requested = self._should_stop
        self.checkpointer.before_save = self._before_save
        self._stopping, self._asked_at = False, -1
        self._attach_layers()

    def _attach_layers(self) -> None:
        """Find what in the model needs to know of steps and ranks: dropout and routers."""
        model, dims = self.model_parts[0], self.parallel_dims
        sequence = self.config.parallelism.enable_sequence_parallel
        tensor = dims.get_mesh("tp") if dims.tp_enabled and sequence else None
        self.dropout_keys = DropoutKeys(
            model,
            seed=self.config.debug.seed or 0,
            tensor_rank=tensor.get_local_rank() if tensor else 0,
            tensor_ranks=tensor.size() if tensor else 1,
        )
        many = data_parallel_rank(self)[1] > 1
        self.routers = Routers(
            model,
            # The group is found once: compiled blocks sum within, and would trace the search.
            partial(sum_over, dims.get_mesh("batch").get_group()) if many else None,
            tensor_ranks=dims.tp,
        )

    def post_dataloading_process(
        self, input_dict: dict[str, Any], labels: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Any]]:
        corrupted = self.objective.training_inputs(self._token_batch(input_dict))
        inputs, targets, _ = super().post_dataloading_process(
            {"input": corrupted.inputs_BL}, corrupted.targets_BL
        )
        self.dropout_keys.update(self.step, input_dict["position"], inputs)
        extra = {
            "weights": corrupted.weights_BL,
            "noised": corrupted.noised,
            "network": corrupted.network_arguments(mask_form(self.model_parts[0])),
            "counted": self._counted(input_dict["host"]),
        }
        return inputs, targets, extra

    def _token_batch(self, batch: dict[str, Any]) -> TokenBatch:
        return TokenBatch(
            tokens_BL=batch["input"],
            epoch_B=batch["epoch"],
            sample_B=batch["sample"],
            position_B=batch["position"],
            step=self.step,
            batch_epoch_G=batch["batch_epoch"],
            batch_sample_G=batch["batch_sample"],
        )

    def _counted(self, host: OnHost) -> int | None:
        """How many positions of a batch the loss counts, where it can leave the others out.

        The host works it out again, from counters that it has: to ask the device is to wait.
        """
        if not self.loss_fn.chunked or not self.config.training.disable_cuda_graphs:
            return None
        return self.objective.counted(self._token_batch(host.tensors))

    def _forward_backward_body(
        self,
        inputs: Tensor,
        labels: Tensor,
        global_valid_tokens: Tensor,
        extra_kwargs: dict[str, Any],
    ) -> Tensor:
        # The loader's tokens that an input stands for: an objective may pass each several times.
        training = self.config.training
        copies = inputs.numel() / (training.local_batch_size * training.seq_len)
        self.routers.before_pass(global_valid_tokens * copies)
        with self.train_context():
            loss: Tensor = self.loss_fn.of_model(
                self.model_parts[0],
                inputs,
                labels,
                global_valid_tokens,
                weights_BL=extra_kwargs["weights"],
                counted=extra_kwargs["counted"],
                network=extra_kwargs["network"],
                noised=extra_kwargs["noised"],
            )
            loss.backward()
        self.routers.after_pass()
        return loss

    def train_step(self, data_iterator: Iterator[Batch]) -> None:
        began = time.perf_counter()
        if self.energy is not None:
            self.energy.count(self.step)
        self._optimise(data_iterator)
        for average in self.averages:
            average.update(self.step)
        metrics, training = self.metrics_processor, self.config.training
        metrics.train_seconds += time.perf_counter() - began
        metrics.train_tokens += training.global_batch_size * training.seq_len
        routers = self.routers.end_step(measure=metrics.should_log(self.step))
        if routers is not None:
            metrics.log_routers(self.step, routers)
        if metrics.should_log(self.step):
            # The step just logged has waited for the device, so the seconds are whole.
            metrics.log_speed(self.step)
            self._record_energy()
        if self.step in self.hooks.evaluation_steps:
            self._record_energy(pause=True)
            # The next step would begin so: until then an evaluation has the gradients' room.
            self.optimizers.zero_grad(set_to_none=self.config.training.disable_cuda_graphs)
            self.hooks.evaluate(self.step)
        self.hooks.on_step(self.step)

    def _record_energy(self, *, pause: bool = False) -> None:
        """Record the joules of all steps so far, where they are known. All ranks call it.

        Args:
            pause: what comes before the next step is none of them.
        """
        if self.energy is None:
            return
        if pause:
            self.energy.pause()
        joules = self.energy.total()
        if joules is not None:
            sink = self.metrics_processor.sink
            sink.write(self.step, JOULES, joules, estimator=self.energy.method)

    def _before_save(self) -> None:
        self._record_energy(pause=True)  # what a run that goes on from the checkpoint adds to
        self.hooks.flush()

    def _optimise(self, batches: Iterator[Batch]) -> None:
        """One step of the optimizer, in the place of titan's `train_step`.

        Titan (0.3.0) moves each tensor of a batch to the device by itself, and counts its tokens
        that are no padding, and waits for each copy. Windows have no padding: their tokens are
        known, and a batch is moved at once.
        """
        training, logs = self.config.training, self.metrics_processor.should_log(self.step)
        self.optimizers.zero_grad(set_to_none=training.disable_cuda_graphs)
        rates = self.lr_schedulers.get_metrics()
        tokens = torch.full((), training.global_batch_size * training.seq_len, device=self.device)
        total: Tensor | None = None
        for _ in range(self.gradient_accumulation_steps):
            read, _ = next(batches)
            inputs = on_device(read, self.device)
            loss = self.forward_backward_step(
                input_dict=inputs | {"host": OnHost(read)},
                labels=inputs["input"],
                global_valid_tokens=tokens,
            ).detach()
            if logs:
                # A copy: under CUDA graphs the next pass writes where this loss stands.
                total = loss.clone() if total is None else total.add_(loss)
        norm = dist_utils.clip_grad_norm_(
            [parameter for part in self.model_parts for parameter in part.parameters()],
            training.max_norm,
            foreach=True,
        )
        self.checkpointer.maybe_wait_for_staging()
        self.optimizers.step()
        self.lr_schedulers.step()
        if total is not None:
            self._log(total, norm, rates)

    def _log(self, loss: Tensor, norm: Tensor, rates: dict[str, Any]) -> None:
        """Record a step's loss over all ranks.

        Raises:
            RuntimeError: it is not finite.
        """
        mesh = self.parallel_dims.get_optional_mesh("loss")
        value = dist_utils.dist_sum(loss, mesh) if mesh is not None else float(loss.item())
        if not math.isfinite(value):
            raise RuntimeError(f"Loss is not finite ({value}) at step {self.step}.")
        self.metrics_processor.log(self.step, value, value, float(norm.item()), rates)

    def should_continue_training(self) -> bool:
        return bool(super().should_continue_training()) and not self._should_stop()

    def _should_stop(self) -> bool:
        """Whether to stop after this step: on several ranks, when any of them was asked to.

        It is asked before the checkpoint and after it, and answers the same: a request in between
        would end the run without a checkpoint.
        """
        if self._stopping or self._asked_at == self.step:
            return self._stopping
        self._asked_at = self.step
        if self.parallel_dims.world_size == 1:
            self._stopping = self.hooks.stop_requested()
        # Ranks receive a signal at different steps and must agree; asking costs a collective.
        elif self.metrics_processor.should_log(self.step):
            asked = torch.full((), float(self.hooks.stop_requested()), device=self.device)
            torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
            self._stopping = bool(asked.item())
        return self._stopping


def data_parallel_rank(trainer: StudyTrainer) -> tuple[int, int]:
    """(rank, size) of a trainer's data-parallel group."""
    if not trainer.parallel_dims.dp_enabled:
        return 0, 1
    mesh = trainer.parallel_dims.get_mesh("batch")
    return mesh.get_local_rank(), mesh.size()


def sum_over_data_parallel(trainer: StudyTrainer, values: Tensor) -> Tensor:
    """Element-wise sum of a tensor over the data-parallel ranks."""
    if not trainer.parallel_dims.dp_enabled:
        return values
    return sum_over(trainer.parallel_dims.get_mesh("batch").get_group(), values)


def sum_over(group: ProcessGroup, values: Tensor) -> Tensor:
    """Element-wise sum of a tensor over a group's ranks, in place."""
    torch.distributed.all_reduce(values, group=group)
    return values
