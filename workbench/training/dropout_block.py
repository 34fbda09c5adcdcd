"""A layer of the decoder with what titan's has not: dropout."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torchtitan.models.qwen3.model import Qwen3TransformerBlock

from workbench.training.dropout import dropout

# What is dropped in a layer. The embedding belongs to the first.
_EMBEDDING, _ATTENTION, _FEED_FORWARD, _PLACES = 0, 1, 2, 3


class DropoutBlock(Qwen3TransformerBlock):
    """Titan's layer with dropout on what joins the residual stream, in training alone."""

    @dataclass(kw_only=True, slots=True)
    class Config(Qwen3TransformerBlock.Config):
        dropout: float
        layer: int
        layers: int
        """Of the whole model."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dropout = config.dropout
        self.layer, self.layers = config.layer, config.layers
        self.token_key_BL: Tensor | None = None
        """Set by `DropoutKeys` before each pass."""

    def forward(
        self,
        x: Tensor,
        attention_masks: Any,
        positions: Tensor | None = None,
        loop: int = 0,
    ) -> Tensor:
        passed = loop * self.layers + self.layer  # layers before this one, in all loops
        if passed == 0:
            x = self._drop(x, _EMBEDDING, passed)
        attended = self.attention(self.attention_norm(x), attention_masks, positions)
        x = x + self._drop(attended, _ATTENTION, passed)
        feed_forward = self.moe if self.moe_enabled else self.feed_forward
        return x + self._drop(feed_forward(self.ffn_norm(x)), _FEED_FORWARD, passed)

    def _drop(self, x: Tensor, place: int, passed: int) -> Tensor:
        if not self.training:
            return x
        assert self.token_key_BL is not None, "no keys: DropoutKeys.update before the pass"
        return dropout(x, self.token_key_BL, _PLACES * passed + place, self.dropout)
