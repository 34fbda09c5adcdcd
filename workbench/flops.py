"""Floating-point operations of training (arXiv 2511.03276, Figure 12's accounting).

A forward pass costs, for each token, 2 N for the weights outside the embedding, 2 d V for the
output layer, and 4 d a layer for each token attended to: T/2 on average under a causal mask,
T under a bidirectional one. The backward pass costs twice the forward.
"""

from workbench.sizes import ModelShape


def forward_flops_per_token(shape: ModelShape, seq_len: int, *, causal: bool) -> float:
    """FLOPs of one token's share of a forward pass over `seq_len` tokens."""
    attended = seq_len / 2 if causal else seq_len
    weights = 2 * shape.n_params_non_embedding + 2 * shape.width * shape.vocab_size
    return float(weights + 4 * shape.width * shape.layers * attended)


def train_flops_per_token(shape: ModelShape, seq_len: int, *, causal: bool) -> float:
    """FLOPs of one token's share of a training step: forward and backward."""
    return 3 * forward_flops_per_token(shape, seq_len, causal=causal)
