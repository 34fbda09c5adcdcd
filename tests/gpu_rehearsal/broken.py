"""The process of a rehearsal with one old defect put back into the product:
`python -m tests.gpu_rehearsal.broken`, with the defect's name in the variable DEFECT."""

import os
import sys
from typing import Any

import torch
from torch import Tensor

from workbench.rehearsal import program, torch_patches


def float32_masks() -> None:
    """Attention masks in float32, whatever the queries are."""
    from workbench.training.model import Attention

    owner: Any = Attention
    plain = owner.forward

    # Titan tells by the names of its arguments how each is sharded.
    def forward(self: Any, q_BLNH: Tensor, k_BLNH: Tensor, v_BLNH: Tensor, **kwargs: Any) -> Tensor:
        length = q_BLNH.shape[1]
        mask = torch.zeros(1, 1, length, length, device=q_BLNH.device)
        return plain(self, q_BLNH, k_BLNH, v_BLNH, **{**kwargs, "attention_masks": mask})

    owner.forward = forward


def unpinned_copies() -> None:
    """A batch moved tensor by tensor, each copy waited for."""
    from workbench.training import trainer

    def on_device(inputs: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        return {name: values.to(device) for name, values in inputs.items()}

    trainer.on_device = on_device


def number_of_the_host_in_routers() -> None:
    """A number made on the host and copied to the device in every layer and pass."""
    from workbench.training.moe import Router

    owner: Any = Router
    plain = owner.forward

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        out = plain(self, *args, **kwargs)
        out[0].new_tensor(1.0)
        return out

    owner.forward = forward


def global_batch_in_validation() -> None:
    """Evaluation by the batch of all ranks on each of them."""
    from workbench.recipe import RunConfig

    owner: Any = RunConfig
    owner.scored_at_once = property(lambda config: config.training.batch_size)


if __name__ == "__main__":
    last = torch_patches.leave_out_stream_records

    def patched() -> None:
        last()
        globals()[os.environ["DEFECT"]]()

    torch_patches.leave_out_stream_records = patched
    sys.exit(program.main())
