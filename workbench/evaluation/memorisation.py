"""Verbatim memorisation: does a model give back the ends of windows that it was trained on?

A window's beginning is the prompt, its last tokens are asked for, and greedy decoding answers:
AR from left to right; diffusion from an end that is all masked, the surest token first (LLaDA's
low-confidence remasking at one token a step), block diffusion so block after block, any-order AR in
the order of its own certainty. A window counts as memorised when its whole end
comes back (Carlini et al. 2023, arXiv 2202.07646, who ask for 50 tokens). Held-out windows tell
how much of that is text that anyone would continue so. Beside it stands the likelihood of the
end (probability-based extraction: Hayes et al. 2025, arXiv 2410.19482), which every objective
estimates by its own estimator. Reuse of data raises the risk: arXiv 2511.03276, section 7.3.

Shape suffixes: B windows, L tokens a window, N windows in all.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from workbench.data import PreparedData
from workbench.data.streams import training_stream, validation_windows
from workbench.evaluation.argmax import likeliest
from workbench.evaluation.decoding import DECODERS
from workbench.evaluation.tasks import Measured, TrainingTask
from workbench.recipe import RunConfig
from workbench.training.trainer import (
    StudyTrainer,
    data_parallel_rank,
    sum_over_data_parallel,
)
from workbench.training.validation import (
    Estimate,
    mean_estimate,
    rank_chunks,
    sequence_nll,
    tokens_of,
)

SUFFIX_TOKENS = 50
DRAWS = 4
HELD_OUT = "held_out"


def suffix_tokens(seq_len: int) -> int:
    """Tokens asked for: 50, or a quarter of a window where that is less."""
    return max(1, min(SUFFIX_TOKENS, seq_len // 4))


@dataclass(frozen=True)
class Memorisation:
    """What came back of N windows' ends. `share` and `tokens` are None where the objective has no
    decoder."""

    share: Estimate | None
    """Windows whose end came back whole."""
    tokens: Estimate | None
    """Tokens of the ends that came back, averaged over windows."""
    nll: Estimate
    """Nats a token of the ends."""
    decoding: str | None
    suffix: int


def measure(
    trainer: StudyTrainer, windows_NL: np.ndarray, *, suffix: int, batch: int
) -> Memorisation:
    """Ask for the last `suffix` tokens of every window.

    Args:
        windows_NL: integers [N, L].
        batch: windows a rank decodes at once.
    """
    objective, device = trainer.objective, trainer.device
    decoder = objective.facts.decoder
    decode = DECODERS[decoder] if decoder else None
    n, length = windows_NL.shape
    start = length - suffix
    draws = objective.answer_draws(DRAWS)
    rank, ranks = data_parallel_rank(trainer)
    sums = torch.zeros(5, dtype=torch.float64, device=device)
    for chunk in rank_chunks(n, min(batch, n), rank, ranks, device):
        tokens_BL = tokens_of(windows_NL, chunk, device)
        nll_B = torch.zeros(len(tokens_BL), dtype=torch.float64, device=device)
        for draw in range(draws):
            corrupted = objective.answer_inputs(tokens_BL, start, chunk.rows, draw, draws)
            nll_B += sequence_nll(trainer, corrupted) / (draws * suffix)
        right_B = torch.zeros_like(nll_B)
        if decode is not None:
            ask = partial(likeliest, trainer, first=start)
            found_BL = decode(ask, tokens_BL, start, objective)
            right_B = (found_BL == tokens_BL)[:, start:].double().mean(dim=1)
        values = torch.stack([(right_B == 1).double(), right_B, right_B**2, nll_B, nll_B**2])
        sums += (values * chunk.counts).sum(dim=1)
    whole, right, right_squares, nll, nll_squares = sum_over_data_parallel(trainer, sums).tolist()
    share = whole / n
    return Memorisation(
        share=Estimate(share, math.sqrt(share * (1 - share) / n), n) if decode else None,
        tokens=mean_estimate(right, right_squares, n) if decode else None,
        nll=replace(mean_estimate(nll, nll_squares, n), draws=draws if draws > 1 else None),
        decoding=decode.__name__ if decode else None,
        suffix=suffix,
    )


@dataclass(frozen=True)
class MemorisationWindows:
    """Windows that a run was trained on, and as many that it was not."""

    training_NL: np.ndarray
    held_out_NL: np.ndarray


def memorisation_windows(
    config: RunConfig, prepared: PreparedData, count: int
) -> MemorisationWindows:
    """At most `count` of either. Budgets nest: a larger one is asked for the same windows."""
    stream = training_stream(prepared, config.data, order_seed=config.training.seed)
    held_out = validation_windows(prepared, config.data, count * config.data.seq_len)
    return MemorisationWindows(stream.read(stream.probe(count)), held_out.tokens_NL)


def memorisation_task(config: RunConfig, prepared: PreparedData) -> TrainingTask:
    """`evaluation.memorisation`: the windows' ends, asked for at every evaluation."""
    count = config.evaluation.memorisation
    assert count is not None
    windows = memorisation_windows(config, prepared, count)
    suffix = suffix_tokens(config.data.seq_len)

    def run(trainer: StudyTrainer) -> Iterator[Measured]:
        for ending, windows_NL in (
            ("", windows.training_NL),
            (f"@{HELD_OUT}", windows.held_out_NL),
        ):
            found = measure(trainer, windows_NL, suffix=suffix, batch=config.scored_at_once)
            greedy = f"greedy/{found.decoding}/suffix={suffix}"
            if found.share is not None and found.tokens is not None:
                yield Measured(f"memorised_share{ending}", found.share, greedy)
                yield Measured(f"memorised_tokens{ending}", found.tokens, greedy)
            estimator = f"{trainer.objective.validation_estimator}/suffix={suffix}"
            yield Measured(f"suffix_nll{ending}", found.nll, estimator)

    return run
