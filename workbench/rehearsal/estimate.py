"""From what was counted to milliseconds of one H100: every assumption has a name here.

None of these rates was measured by this project. A kernel takes as long as its products at the
rate of products or its bytes at the rate of memory, whichever is longer, group by group. Ranks'
communication is taken to happen behind the computing, and is left out.
"""

from dataclasses import dataclass

from workbench.rehearsal.counts import (
    ATTENTION,
    COMMUNICATION,
    GROUPS,
    PRODUCTS,
    Phase,
    Work,
)


@dataclass(frozen=True)
class Assumptions:
    """What an H100 (SXM) is taken to deliver. FLOP/s are of bfloat16 with float32 sums."""

    product_flops: float = 620e12
    """FLOP/s that matrix products of a model of about 1B parameters reach: 63 % of the peak."""
    attention_flops: float = 500e12
    """FLOP/s of FlashAttention without a causal mask, both passes together."""
    causal_attention_flops: float = 405e12
    """The same with a causal mask, of the half of the products that it computes."""
    masked_attention_flops: float = 250e12
    """With a mask of numbers that a kernel adds: what it hides is computed all the same."""
    bytes_per_second: float = 2.8e12
    """Of memory, by kernels that only move: 84 % of the data sheet's 3.35 TB/s."""
    launch_seconds: float = 6e-6
    """Host time to issue one kernel. A step is no shorter than all its kernels take to issue."""


H100 = Assumptions()
CAUSAL_SHARE = 0.5
"""Of attention's counted FLOPs, what a causal mask leaves."""


def group_seconds(group: str, work: Work, assumed: Assumptions = H100) -> float:
    """Seconds that the kernels of one group take."""
    moving = work.bytes / assumed.bytes_per_second
    if group == COMMUNICATION:
        return 0.0
    if group == ATTENTION:
        causal = CAUSAL_SHARE * work.causal_flops / assumed.causal_attention_flops
        masked = work.masked_flops / assumed.masked_attention_flops
        plain = work.flops - work.causal_flops - work.masked_flops
        return max(moving, causal + masked + plain / assumed.attention_flops)
    if group == PRODUCTS:
        return max(moving, work.flops / assumed.product_flops)
    return moving


def step_seconds(phase: Phase, assumed: Assumptions = H100) -> dict[str, float]:
    """Estimated seconds of a phase by group, with "issuing" and "step".

    "step" is the sum of the groups, or "issuing", the host's time, where that is longer.
    """
    seconds = {
        group: group_seconds(group, phase.groups.get(group, Work()), assumed) for group in GROUPS
    }
    issuing = phase.work.kernels * assumed.launch_seconds
    return {**seconds, "issuing": issuing, "step": max(sum(seconds.values()), issuing)}


def mfu(phase_seconds: float, flops: float, peak_flops: float) -> float:
    """Model FLOPs utilisation: the useful FLOPs of a step over what the peak would compute in it.

    Args:
        flops: as `planning.flops` counts them, of one GPU's share.
    """
    return flops / (phase_seconds * peak_flops)
