"""Model shapes: named sizes, parameter counts, vocabulary padding.

The architecture is the paper's (arXiv 2511.03276, section 3.1): multi-head attention with
qk-norm, SwiGLU, two RMSNorms a layer and one at the end, no biases. In a mixture of experts every
layer's feed-forward is `experts` SwiGLUs of width `ffn`, of which a router sends each token to
`top_k`.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class ModelShape:
    """What the number of parameters and of FLOPs depends on."""

    layers: int
    width: int
    heads: int
    ffn: int
    """Width of the feed-forward layer: of one expert in a mixture."""
    vocab_size: int
    """Padded: see `padded_vocab`."""
    tied: bool = True
    qk_norm: bool = True
    experts: int | None = None
    """Experts a layer; None in a dense model."""
    top_k: int | None = None
    """Experts that each token passes through."""
    loops: int = 1
    """How often the layers are applied, one loop after the other."""

    @property
    def depth(self) -> int:
        """Layers that a token passes, each in every loop."""
        return self.layers * self.loops

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def n_params_embedding(self) -> int:
        """Parameters of the embedding and the output layer, the vocabulary's padding included."""
        return self.vocab_size * self.width * (1 if self.tied else 2)

    def n_params_layer(self, experts: int | None) -> int:
        """Parameters of one layer with so many of its experts, the whole router included."""
        attention = 4 * self.width**2 + (2 * self.head_dim if self.qk_norm else 0)
        router = self.width * (self.experts or 0)
        feed_forward = 3 * self.width * self.ffn * (experts or 1)
        return attention + router + feed_forward + 2 * self.width

    @property
    def n_params_matrices(self) -> int:
        """Parameters of the matrices of one layer of a dense model."""
        return 4 * self.width**2 + 3 * self.width * self.ffn

    @property
    def n_params_non_embedding(self) -> int:
        """Parameters outside the embedding and the output layer, all experts counted."""
        return self.layers * self.n_params_layer(self.experts) + self.width

    @property
    def n_params_active_non_embedding(self) -> int:
        """Those that one token passes through."""
        return self.layers * self.n_params_layer(self.top_k) + self.width

    @property
    def n_params_passed_non_embedding(self) -> int:
        """The same, each as often as the token passes through it."""
        return self.depth * self.n_params_layer(self.top_k) + self.width

    @property
    def n_params(self) -> int:
        """All parameters, the vocabulary's padding included."""
        return self.n_params_non_embedding + self.n_params_embedding

    @property
    def n_params_active(self) -> int:
        """Parameters that one token passes through: all of them in a dense model."""
        return self.n_params_active_non_embedding + self.n_params_embedding


@dataclass(frozen=True)
class NamedSize:
    """The part of a shape that a size's name stands for. The vocabulary comes with the data."""

    layers: int
    width: int
    heads: int
    ffn: int
    tied: bool = True
    experts: int | None = None
    top_k: int | None = None

    def is_of(self, shape: ModelShape) -> bool:
        """Whether a shape is that of this size, whatever its vocabulary."""
        return all(getattr(shape, part.name) == getattr(self, part.name) for part in fields(self))

    def shape(self, vocab_size: int) -> ModelShape:
        """The shape with a vocabulary, which is padded."""
        return ModelShape(
            self.layers,
            self.width,
            self.heads,
            self.ffn,
            padded_vocab(vocab_size),
            self.tied,
            experts=self.experts,
            top_k=self.top_k,
        )


def default_ffn(width: int) -> int:
    """Width of the feed-forward layer: floor(8 d / 3 / 64) * 64, and at least 64."""
    return max(8 * width // 3 // 64 * 64, 64)


def _size(layers: int, width: int, heads: int) -> NamedSize:
    return NamedSize(layers, width, heads, default_ffn(width))


SIZES: dict[str, NamedSize] = {
    # For two CPU cores. Names count the parameters with a byte vocabulary.
    "0.2M": _size(4, 64, 4),
    "0.8M": _size(4, 128, 4),
    "2M": _size(6, 192, 6),
    "5M": _size(6, 256, 8),
    # A mixture as wide and as active as "0.2M": 8 experts of half its feed-forward, 2 a token.
    "0.5M-A0.2M": NamedSize(layers=4, width=64, heads=4, ffn=64, experts=8, top_k=2),
    # For one GPU.
    "25M": _size(8, 512, 8),
    "100M": _size(12, 768, 12),
    # The paper's: 1.086B with the GPT-2 vocabulary; the coder's feed-forward breaks the rule.
    "1B": NamedSize(layers=26, width=1792, heads=14, ffn=4736),
    "1.7B": NamedSize(layers=28, width=2048, heads=16, ffn=6144, tied=False),
    # Inferred: the paper names these sizes without their shapes.
    "2B": NamedSize(layers=26, width=2560, heads=20, ffn=6784),
    "4B": NamedSize(layers=36, width=3072, heads=24, ffn=8192),
    "8B": NamedSize(layers=42, width=4096, heads=32, ffn=10880),
    # The paper's mixture (Figure 4) is not published either. This is the 1B model's width with
    # fine-grained experts, chosen so that the totals match: 8.018B in all, 0.999B a token.
    "8B-A1B": NamedSize(layers=34, width=1792, heads=14, ffn=640, experts=64, top_k=4),
}


def padded_vocab(n: int) -> int:
    """The next multiple of 64 (of 8 below 1,000): whatever the tensor-parallel degree, so that
    a model has one size, and 50304 for both published tokenizers."""
    multiple = 64 if n >= 1000 else 8
    return -(-n // multiple) * multiple
