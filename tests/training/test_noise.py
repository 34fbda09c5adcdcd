"""Schedules: their ends, their derivative, the times drawn under them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.training.noise import SCHEDULES, NoiseSchedule, stratified_times

each_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=lambda s: s.name)


@each_schedule
def test_nothing_is_masked_at_the_start_and_everything_at_the_end(schedule: NoiseSchedule) -> None:
    t = torch.tensor([1e-12, 1.0], dtype=torch.float64)
    torch.testing.assert_close(
        schedule.move_chance(t), torch.tensor([0.0, 1.0], dtype=torch.float64), atol=1e-11, rtol=0
    )


@each_schedule
def test_the_rate_is_the_derivative_of_the_move_chance(schedule: NoiseSchedule) -> None:
    t = torch.linspace(0.01, 1, 100, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(schedule.move_chance(t).sum(), t)
    torch.testing.assert_close(schedule.rate(t.detach()), slope)


def test_the_linear_schedule_weighs_by_one_over_t() -> None:
    t = torch.tensor([1e-6, 0.25, 1.0], dtype=torch.float64)
    torch.testing.assert_close(SCHEDULES["linear"].weight(t), 1 / t)


@given(st.integers(1, 300))
def test_each_stratum_gets_one_time_in_its_half_open_interval(n: int) -> None:
    u = torch.rand(n, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
    t = stratified_times(u, torch.arange(n), n)
    assert (t > 0).all()
    assert (t <= 1).all()
    assert (t * n).floor().long().tolist() == list(range(n))
