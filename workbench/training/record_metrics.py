"""From titan's metrics to records: one line of JSON for each number of a step."""

from dataclasses import dataclass
from typing import Any

import torch
from torchtitan.components.metrics import MetricsProcessor
from torchtitan.tools.logging import logger

from workbench.runs.records import RecordWriter
from workbench.training.moe import RouterState


@dataclass
class RecordSink:
    """Writes what a run measures, with the step's tokens, epoch and FLOPs worked out once.

    Every rank has one; only the rank with a writer (rank 0) writes.
    """

    writer: RecordWriter | None
    tokens_per_step: int
    unique_tokens: int
    flops_per_token: float

    def write(
        self,
        step: int,
        metric: str,
        value: float,
        *,
        estimator: str | None = None,
        **measured: Any,
    ) -> None:
        """Write one number of a step.

        Args:
            measured: stderr, n, draws, noise_stderr and documents, as `RecordWriter.write`.
        """
        if self.writer is None:
            return
        tokens = step * self.tokens_per_step
        self.writer.write(
            step=step,
            tokens=tokens,
            epoch=tokens / self.unique_tokens,
            flops=tokens * self.flops_per_token,
            metric=metric,
            value=value,
            estimator=estimator,
            **measured,
        )

    def flush(self, *, fsync: bool) -> None:
        if self.writer is not None:
            self.writer.flush(fsync=fsync)


class RecordingMetrics(MetricsProcessor):
    """Titan's processor, reporting to our records instead of TensorBoard.

    Titan's own throughput counts evaluation and checkpoints in; the trainer times its steps and
    leaves the seconds here. Memory figures are meaningless on a CPU and are not recorded.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(MetricsProcessor.Config):
        pass

    sink: RecordSink
    train_estimator: str
    train_seconds: float = 0.0
    train_tokens: int = 0

    def log(
        self,
        step: int,
        global_avg_loss: float,
        global_max_loss: float,
        grad_norm: float,
        extra_metrics: dict[str, Any] | None = None,
    ) -> None:
        rates = [v for k, v in (extra_metrics or {}).items() if k.startswith("lr/")]
        self.sink.write(step, "train_loss", global_avg_loss, estimator=self.train_estimator)
        self.sink.write(step, "grad_norm", grad_norm)
        self.sink.write(step, "lr", rates[0])  # of the norms, which have `training.lr` always
        logger.info("step %d  train_loss %.5f  grad_norm %.4f", step, global_avg_loss, grad_norm)
        self.ntokens_since_last_log = 0
        self.data_loading_times.clear()

    def log_routers(self, step: int, state: RouterState) -> None:
        """Record what the routers of a mixture of experts did with this step's batch."""
        self.sink.write(step, "moe_balance", state.balance)
        self.sink.write(step, "moe_z", state.z)
        self.sink.write(step, "moe_max_load", state.max_load)
        self.sink.write(step, "moe_entropy", state.entropy)

    def log_speed(self, step: int) -> None:
        """Record tokens a second over the training steps since the last call, of all ranks."""
        if self.train_seconds > 0:
            self.sink.write(step, "tokens_per_second", self.train_tokens / self.train_seconds)
        self.train_seconds, self.train_tokens = 0.0, 0


def rank() -> int:
    """This process's rank, 0 before the process group exists."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
