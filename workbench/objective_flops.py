"""What a run's training costs, by the accounting of `workbench.flops`, under any objective."""

from workbench.flops import forward_flops_per_token, train_flops_per_token
from workbench.recipe import RunConfig
from workbench.sizes import ModelShape


def train_flops_per_data_token(config: RunConfig) -> float:
    """FLOPs of training for each token of the budget, however often it passes the network."""
    shape, length, training = config.model.shape, config.data.seq_len, config.training
    samples = training.noise_samples or 1
    if training.objective == "ar":
        clean = 1 if training.mask_aux_weight else 0
        return (clean + samples) * train_flops_per_token(shape, length, causal=True)
    if training.objective == "mdlm":
        return samples * train_flops_per_token(shape, length, causal=False)
    if training.objective == "block":
        # A noisy token sees its block of S and (L - S) / 2 clean tokens on average; a clean token
        # sees (L + S) / 2 clean ones. That is (L + S) / 2 for either.
        assert training.block_size is not None
        return samples * _doubled(shape, length + training.block_size)
    return samples * _doubled(shape, length)  # any order: L / 2 for queries and contents


def _doubled(shape: ModelShape, twice_attended: int) -> float:
    """Training FLOPs a token whose sequence passes as 2L inputs, with outputs at L of them.

    Args:
        twice_attended: twice the mean number of inputs that each input sees.
    """
    one = forward_flops_per_token(shape, twice_attended, causal=True)
    return 3 * (2 * one - 2 * shape.width * shape.vocab_size)
