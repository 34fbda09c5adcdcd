"""A decoder whose layers are applied several times: more depth and FLOPs of the same parameters
(universal transformers, arXiv 1807.03819; looped transformers, arXiv 2502.17416)."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torchtitan.models.qwen3 import Qwen3Model

from workbench.training.dropout_block import DropoutBlock


class LoopedModel(Qwen3Model):
    """Titan's decoder, all of its layers `loops` times, one loop after the other. Embedding, last
    norm and output are passed once."""

    @dataclass(kw_only=True, slots=True)
    class Config(Qwen3Model.Config):
        loops: int

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.loops = config.loops
        self.drops = isinstance(config.layers[0], DropoutBlock.Config)

    def forward(
        self, tokens: Tensor, positions: Tensor | None = None, attention_masks: Any = None
    ) -> Tensor:
        hidden = self.tok_embeddings(tokens)
        for loop in range(self.loops):
            # Each loop drops activations of its own. As an argument its number is there when a
            # layer is computed again in the backward pass.
            which = {"loop": loop} if self.drops else {}
            for layer in self.layers.values():
                hidden = layer(hidden, attention_masks, positions, **which)
        hidden = self.norm(hidden)
        if self._skip_lm_head:
            return hidden
        logits: Tensor = self.lm_head(hidden)
        return logits


def loops_of(model: Any) -> int:
    """How often a decoder applies its layers."""
    return int(getattr(model, "loops", 1))
