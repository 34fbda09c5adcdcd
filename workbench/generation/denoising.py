"""How a diffusion model is asked for masked tokens: whole sequences, or one block at a time.

Shape suffixes: B sequences, R of them, L tokens a sequence, S tokens of a span, N of them that are
sought, V entries of the vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.generation.network import Network

Span = tuple[int, int]
"""Places from the first to before the second."""
Denoise = Callable[[Tensor, Span, Tensor, Tensor | None], Tensor]
"""From tokens [B, L], MASK where one is sought, a span of S places, bool [R, S] where logits are
wanted, and the indices of the R sequences that are meant (None for all), to logits [N, V], row
after row. Spans come from left to right."""


def whole_sequences(network: Network) -> Denoise:
    """Return how to ask a model that sees all places at once."""

    def denoise(
        tokens_BL: Tensor, span: Span, sought_RS: Tensor, row_R: Tensor | None = None
    ) -> Tensor:
        shown_RL = tokens_BL if row_R is None else tokens_BL[row_R]
        outside = span[0], shown_RL.shape[1] - span[1]
        return network.logits_at(shown_RL, F.pad(sought_RS, outside))

    return denoise


class BlockByBlock:
    """For a model that was trained on blocks: it sees the block and the clean ones before it.

    Clean blocks are read once, into the cache. Places of the block that lie beyond the text are
    shown as MASK, as they are in training until they are drawn: it is as if they were drawn last.
    """

    def __init__(self, network: Network, tokens_BL: Tensor) -> None:
        assert network.block_size is not None
        assert network.reader is not None
        self._size, self._mask_id = network.block_size, network.vocab.mask_id
        batch, length = tokens_BL.shape
        self._reader = network.reader(batch, -(-length // self._size) * self._size)
        self._read = 0

    def __call__(
        self, tokens_BL: Tensor, span: Span, sought_RS: Tensor, row_R: Tensor | None = None
    ) -> Tensor:
        """Return logits wanted in a span, which must lie in one block."""
        batch, length = tokens_BL.shape
        first = span[0] // self._size * self._size
        end = first + self._size
        masks = tokens_BL.new_full((batch, max(end - length, 0)), self._mask_id)
        shown = torch.cat([tokens_BL[:, self._read : end], masks], dim=1)
        place_1N = torch.arange(self._read, end, device=tokens_BL.device)[None, :]
        if self._read < first:  # there are clean blocks to read: of all sequences
            logits = self._reader.predict(shown, place_1N)
            logits = logits if row_R is None else logits[row_R]
        else:
            shown = shown if row_R is None else shown[row_R]
            logits = self._reader.predict(shown, place_1N, row_R)
        self._read = first
        return logits[:, span[0] - first : span[1] - first][sought_RS]


def denoiser(network: Network, tokens_BL: Tensor) -> Denoise:
    """Return the way to ask that fits the model."""
    return BlockByBlock(network, tokens_BL) if network.block_size else whole_sequences(network)
