"""From counts to milliseconds: arithmetic that can be checked by hand."""

import pytest

from workbench.planning.gpus import GPUS
from workbench.rehearsal.counts import (
    ATTENTION,
    COMMUNICATION,
    LAYERS,
    LOSS,
    PRODUCTS,
    REST,
    TRAIN,
    WEIGHTS,
    Phase,
    Rehearsal,
    Work,
)
from workbench.rehearsal.estimate import H100, Assumptions, mfu, step_seconds
from workbench.rehearsal.planned import along

# Counted of the 1B, 8 sequences of 2,048 tokens, eager, as first rehearsed: mdlm, and AR alike.
EAGER = {
    PRODUCTS: Work(549, 98.33e9, 106.77e12),
    ATTENTION: Work(52, 18.37e9, 21.89e12),
    LAYERS: Work(1455, 303.39e9),
    LOSS: Work(7, 39.56e9),
    WEIGHTS: Work(1205, 43.98e9),
    REST: Work(92, 47.79e9),
}
CAUSAL = EAGER | {ATTENTION: Work(52, 18.37e9, 21.89e12, causal_flops=21.89e12)}


@pytest.mark.parametrize(("groups", "step"), [(EAGER, 0.374), (CAUSAL, 0.357)], ids=["mdlm", "ar"])
def test_the_paper_s_step_takes_what_was_reckoned_by_hand(
    groups: dict[str, Work], step: float
) -> None:
    """Group by group: 172 products, 44 or 27 attention, 108 layers, 13 loss, 17 copies, 20 rest."""
    seconds = step_seconds(Phase(TRAIN, groups))
    assert seconds["step"] == pytest.approx(step, rel=0.05)
    assert seconds[PRODUCTS] == pytest.approx(0.172, rel=0.05)
    assert seconds[ATTENTION] == pytest.approx(0.044 if groups is EAGER else 0.027, rel=0.05)
    assert seconds[LAYERS] == pytest.approx(0.108, rel=0.05)


def test_a_kernel_takes_its_products_or_its_bytes_whichever_is_longer() -> None:
    assumed = Assumptions(product_flops=1e12, bytes_per_second=1e9, launch_seconds=0)
    computing = step_seconds(Phase(TRAIN, {PRODUCTS: Work(1, 1e9, 3e12)}), assumed)
    moving = step_seconds(Phase(TRAIN, {PRODUCTS: Work(1, 3e9, 1e12)}), assumed)
    assert (computing["step"], moving["step"]) == (3, 3)


def test_a_step_is_no_shorter_than_its_kernels_take_to_issue() -> None:
    seconds = step_seconds(Phase(TRAIN, {LAYERS: Work(10_000, 1e6)}))
    assert seconds["step"] == seconds["issuing"] == pytest.approx(10_000 * H100.launch_seconds)


def test_attention_with_a_mask_of_numbers_computes_what_it_hides() -> None:
    def seconds(**flops: float) -> float:
        return step_seconds(Phase(TRAIN, {ATTENTION: Work(1, 0, 1e12, **flops)}))["step"]

    assert seconds(masked_flops=1e12) == pytest.approx(1e12 / H100.masked_attention_flops)
    assert seconds(causal_flops=1e12) < seconds() < seconds(masked_flops=1e12)


def test_communication_is_left_out() -> None:
    seconds = step_seconds(Phase(TRAIN, {COMMUNICATION: Work(1, 1e12)}))
    assert seconds[COMMUNICATION] == 0


def test_half_of_the_peak_is_what_the_goal_says() -> None:
    assert mfu(0.254, 125.6e12, GPUS["h100"].peak_flops) == pytest.approx(0.5, rel=0.01)


def test_numbers_of_all_layers_lie_on_the_line_through_two_depths() -> None:
    few, more = (Rehearsal(layers, False, 1, 0, [], []) for layers in (2, 3))
    assert along(26, [few, more], [10, 14]) == 10 + 24 * 4
    assert along(2, [few], [10]) == 10


def test_a_rehearsal_crosses_processes_unchanged() -> None:
    found = Rehearsal(2, True, 16, 5, [Phase(TRAIN, dict(EAGER), peak_bytes=7)], ["sampling"])
    assert Rehearsal.from_json(found.document()) == found
