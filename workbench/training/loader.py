"""Batches for titan's trainer: each rank's slice of one endless stream of windows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset
from torchtitan.components.dataloader import ParallelAwareDataloader

from workbench.data import PreparedData
from workbench.data.streams import training_stream
from workbench.data.windows import Ints, WindowStream
from workbench.recipe import DataConfig
from workbench.training.to_device import to_device

Batch = tuple[dict[str, Tensor], Tensor]


@dataclass(frozen=True)
class OnHost:
    """A batch's tensors where they were read, beside those on the device."""

    tensors: dict[str, Tensor]


class WindowSlices(IterableDataset[Batch]):
    """One rank's micro-batches. Its whole state is how many samples the run has consumed.

    A global batch of G windows is cut into micro-batches, and each of those into one contiguous
    slice a rank: rank r of R sees places [(m R + r) B, (m R + r + 1) B) in micro-batch m.
    """

    def __init__(
        self, stream: WindowStream, *, local_batch: int, global_batch: int, rank: int, ranks: int
    ) -> None:
        self.stream = stream
        self.local_batch = local_batch
        self.global_batch = global_batch
        self.rank = rank
        self.ranks = ranks
        self.samples_seen = 0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            batch_start = self.samples_seen
            epochs, samples = self.stream.identify(batch_start, self.global_batch)
            across_ranks = self.local_batch * self.ranks
            for first in range(0, self.global_batch, across_ranks):
                # Advance before yielding: a checkpoint is written after the batch is used.
                self.samples_seen = batch_start + first + across_ranks
                yield self._slice(first, epochs, samples)

    def _slice(self, first: int, epochs: Ints, samples: Ints) -> Batch:
        begin = first + self.rank * self.local_batch
        end = begin + self.local_batch
        tokens = torch.from_numpy(self.stream.read(samples[begin:end]))
        inputs = {
            "input": tokens,
            "epoch": torch.from_numpy(epochs[begin:end]),
            "sample": torch.from_numpy(samples[begin:end]),
            "position": torch.arange(begin, end),
            "batch_epoch": torch.from_numpy(epochs),
            "batch_sample": torch.from_numpy(samples),
        }
        return inputs, tokens


def on_device(inputs: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch's tensors on a device: on a GPU by one copy, which the host does not wait for.

    Args:
        inputs: int64 tensors in the host's memory.
    """
    if device.type == "cpu":
        return inputs
    return unpacked(to_device(packed(inputs), device), inputs)


def packed(inputs: dict[str, Tensor]) -> Tensor:
    """[N] all values of a batch one after another."""
    return torch.cat([values.flatten() for values in inputs.values()])


def unpacked(whole: Tensor, like: dict[str, Tensor]) -> dict[str, Tensor]:
    """Views into a packed batch, in the shapes of the tensors that it was made of."""
    parts = whole.split([values.numel() for values in like.values()])
    return {name: part.view(like[name].shape) for name, part in zip(like, parts, strict=True)}


class WindowLoader(ParallelAwareDataloader):
    """Titan's loader over `WindowSlices`, resumable on another number of ranks."""

    @dataclass(kw_only=True, slots=True)
    class Config(ParallelAwareDataloader.Config):
        folder: str
        data: str
        """The `[data]` table as JSON: titan's configurations hold plain values."""
        order_seed: int
        global_batch: int
        anneal_from: int | None = None

    def __init__(
        self,
        config: Config,
        *,
        dp_world_size: int,
        dp_rank: int,
        seq_len: int,
        local_batch_size: int,
        **kwargs: Any,
    ) -> None:
        stream = training_stream(
            PreparedData.open(Path(config.folder)),
            DataConfig.model_validate_json(config.data),
            order_seed=config.order_seed,
            anneal_from=config.anneal_from,
        )
        self.slices = WindowSlices(
            stream,
            local_batch=local_batch_size,
            global_batch=config.global_batch,
            rank=dp_rank,
            ranks=dp_world_size,
        )
        super().__init__(self.slices, dp_rank=dp_rank, dp_world_size=dp_world_size, batch_size=None)

    def state_dict(self) -> dict[str, Any]:
        return {"samples_seen": self.slices.samples_seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict:
            self.slices.samples_seen = int(state_dict["samples_seen"])
