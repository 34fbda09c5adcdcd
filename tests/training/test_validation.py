"""Validation: the estimate is unbiased, the noise that it states is the noise that it has."""

import copy
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.conftest import TrainedRuns
from tests.fake_cuda import CUDA, moves
from tests.training.toy import EVERY_SEQUENCE, VOCAB, L, V, batch, mdlm, network, nll, trainer
from workbench.data import PreparedData
from workbench.data.streams import validation_windows
from workbench.data.windows import HeldOutWindows
from workbench.training.model import initialise
from workbench.training.noise import SCHEDULES
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.ar import Autoregressive
from workbench.training.objectives.base import Corrupted, Objective
from workbench.training.objectives.block import BlockDiffusion
from workbench.training.objectives.mdlm import MaskedDiffusion
from workbench.training.trained_model import as_trainer, load_run_model
from workbench.training.validation import (
    Estimate,
    Validation,
    between_draws,
    mean_estimate,
    position_nll,
    rank_chunks,
    sequence_nll,
    tokens_of,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin" / "src"


@pytest.fixture
def order_agnostic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Objective]:
    """The objective of `examples/plugin`."""
    monkeypatch.syspath_prepend(EXAMPLE)
    from workbench_example.ardm import OrderAgnostic

    yield OrderAgnostic(VOCAB, seed=0)
    for module in [name for name in sys.modules if name.startswith("workbench_example")]:
        del sys.modules[module]


def block(size: int) -> BlockDiffusion:
    return BlockDiffusion(
        VOCAB, block_size=size, schedule=SCHEDULES["linear"], weighting="elbo_t", seed=0
    )


def masked_nll(
    model: nn.Module, corrupt: Callable[[Tensor, Tensor], Corrupted], places: tuple[int, ...]
) -> Tensor:
    """[V^L, L] NLL of the tokens at `places` of every sequence, just these hidden."""
    masked = torch.zeros(EVERY_SEQUENCE.shape, dtype=torch.bool)
    masked[:, list(places)] = True
    return nll(model, corrupt(EVERY_SEQUENCE, masked))


def chain_rule_over_orders(
    model: nn.Module, corrupt: Callable[[Tensor, Tensor], Corrupted], places: tuple[int, ...]
) -> Tensor:
    """[V^L] the mean NLL of the tokens at `places` over every order of revealing them."""
    sets = [s for k in range(1, len(places) + 1) for s in itertools.combinations(places, k)]
    given = {s: masked_nll(model, corrupt, s) for s in sets}
    total = torch.zeros(len(EVERY_SEQUENCE), dtype=torch.float64)
    for order in itertools.permutations(places):
        for done, place in enumerate(order):
            total += given[tuple(sorted(order[done:]))][:, place] / math.factorial(len(order))
    return total


def exact_bound(model: nn.Module, objective: Objective) -> Tensor:
    """[V^L] the bound of every sequence, by enumeration of all orders."""
    if isinstance(objective, AnyOrder):
        orders = [torch.tensor(order).expand(V**L, L) for order in itertools.permutations(range(L))]
        along = [nll(model, objective.in_order(EVERY_SEQUENCE, order)).sum(1) for order in orders]
        return torch.stack(along).mean(0)
    size = objective.masked_together(L)
    assert size is not None
    ours = block(size) if isinstance(objective, BlockDiffusion) else mdlm(1)

    def corrupt(tokens_BL: Tensor, masked_BL: Tensor) -> Corrupted:
        return ours._corrupted(tokens_BL, masked_BL.view(-1, size), torch.ones(1, 1))

    parts = [tuple(range(start, start + size)) for start in range(0, L, size)]
    return torch.stack([chain_rule_over_orders(model, corrupt, p) for p in parts]).sum(0)


KINDS = ("mdlm", "block", "aoar", "example plug-in")


def made(kind: str, plugin: Objective) -> tuple[nn.Module, Objective]:
    objective = {
        "mdlm": mdlm(1),
        "block": block(2),
        "aoar": AnyOrder(VOCAB, seed=0),
        "example plug-in": plugin,
    }[kind]
    return network(doubled=kind in ("block", "aoar")), objective


def all_windows(copies: int) -> HeldOutWindows:
    """Every sequence so many times, each a document of its own."""
    number = torch.arange(V**L).repeat(copies)
    tokens = EVERY_SEQUENCE[number].numpy()
    return HeldOutWindows(tokens, number.numpy(), np.ones(len(number)))


@pytest.mark.slow
@pytest.mark.parametrize("draws", [1, 2, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_is_unbiased_for_any_number_of_draws(
    kind: str, draws: int, order_agnostic: Objective
) -> None:
    """Against every order enumerated: all sequences together, and each by itself."""
    model, objective = made(kind, order_agnostic)
    exact = exact_bound(model, objective)
    windows, asked = all_windows(4), trainer(model, objective)
    validation = Validation(windows, batch=len(windows), draws=draws)
    values, of_sequence = [], []
    for noise in range(48 // draws + 8):
        estimate, items = validation.evaluate(asked, noise=noise)
        values.append(estimate.value)
        of_sequence.append(items.total_N.reshape(4, -1).mean(axis=0))
        assert estimate.draws == draws
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert error < 0.01
    assert np.mean(values) == pytest.approx(exact.mean().item() / L, abs=4 * error)
    # 81 z-values: none is far out, and their mean square is 1.
    spread = np.std(of_sequence, axis=0, ddof=1) / len(of_sequence) ** 0.5
    z = (np.mean(of_sequence, axis=0) - exact.numpy()) / spread
    assert np.abs(z).max() < 6
    assert (z**2).mean() < 2


@pytest.mark.parametrize("kind", KINDS)
def test_another_number_gives_other_noise_and_the_same_number_the_same(
    kind: str, order_agnostic: Objective
) -> None:
    model, objective = made(kind, order_agnostic)
    validation = Validation(all_windows(1), batch=16, draws=2)

    def totals(noise: int) -> list[float]:
        _, items = validation.evaluate(trainer(model, objective), noise=noise)
        return list(items.total_N)

    assert totals(3) == totals(3)
    changed = np.mean(np.array(totals(3)) != totals(4))
    assert changed > 0.8


class Recorder(nn.Module):
    """A network that keeps what it was asked."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.inputs = model, torch.empty(0)

    def forward(self, inputs_BL: Tensor, **more: Tensor) -> Tensor:
        self.inputs = torch.cat([self.inputs, inputs_BL.flatten()])
        return cast(Tensor, self.model(inputs_BL, **more))


@pytest.mark.parametrize("kind", ["mdlm", "block", "aoar"])
def test_all_runs_see_a_step_through_the_same_noise_and_another_step_through_other(
    kind: str, order_agnostic: Objective
) -> None:
    """Whatever their weights and their training seeds are."""
    model, objective = made(kind, order_agnostic)
    other = copy.deepcopy(model)
    initialise(other, seed=1, std=0.4)
    reseeded = {
        "mdlm": lambda: MaskedDiffusion(
            VOCAB, schedule=SCHEDULES["cosine"], weighting="maskgit", seed=1
        ),
        "block": lambda: BlockDiffusion(
            VOCAB, block_size=2, schedule=SCHEDULES["cosine"], weighting="maskgit", seed=1
        ),
        "aoar": lambda: AnyOrder(VOCAB, seed=1),
    }[kind]()
    validation = Validation(all_windows(1), batch=81, draws=2)

    def seen(network: nn.Module, objective: Objective, step: int) -> Tensor:
        """What is asked; of any-order AR, whose inputs show no order, what it answers."""
        recorder = Recorder(network)
        _, items = validation.evaluate(trainer(recorder, objective), noise=step)
        return torch.from_numpy(items.total_N) if kind == "aoar" else recorder.inputs

    theirs = model if kind == "aoar" else other
    assert torch.equal(seen(model, objective, 4), seen(theirs, reseeded, 4))
    assert not torch.equal(seen(model, objective, 4), seen(model, objective, 5))


@pytest.mark.parametrize("kind", KINDS)
def test_the_batch_changes_no_number(kind: str, order_agnostic: Objective) -> None:
    model, objective = made(kind, order_agnostic)

    def totals(batch: int) -> Any:
        validation = Validation(all_windows(1), batch=batch, draws=2)
        return validation.evaluate(trainer(model, objective))[1].total_N

    np.testing.assert_allclose(totals(81), totals(7), atol=1e-5)


def test_an_exact_likelihood_has_no_noise_and_no_draws() -> None:
    model = network(doubled=False, causal=True)
    validation = Validation(all_windows(1), batch=81, draws=8)
    estimate, items = validation.evaluate(trainer(model, Autoregressive(VOCAB)))
    assert (estimate.draws, estimate.noise_stderr, items.noise_variance_N) == (None, None, None)
    assert (-torch.from_numpy(items.total_N)).exp().sum().item() == pytest.approx(1, abs=1e-5)
    other, _ = validation.evaluate(trainer(model, Autoregressive(VOCAB)), noise=9)
    assert other == estimate


class Unigram(nn.Module):
    """A network that expects every token with the same chance everywhere."""

    def __init__(self, chance_V: Tensor) -> None:
        super().__init__()
        self.logits_V = torch.full((VOCAB.size,), -math.inf)
        self.logits_V[:V] = chance_V.log()

    def forward(self, inputs_BL: Tensor, **_: Tensor) -> Tensor:
        return self.logits_V.expand(*inputs_BL.shape, -1)[:, -L:]


@pytest.mark.parametrize("kind", ["mdlm", "block", "example plug-in"])
def test_a_network_of_unigrams_leaves_nothing_to_chance_but_the_share_not_taken(
    kind: str, order_agnostic: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is masked tells how surprising it is: by counts smoothed by a half, as the control's."""
    tokens = torch.tensor([[0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 2], [1, 0, 0, 0]])
    chance = (tokens.flatten().bincount() + 0.5) / (tokens.numel() + 0.5 * V)
    windows = HeldOutWindows(tokens.numpy(), np.arange(4), np.ones(4))
    _, objective = made(kind, order_agnostic)

    def found(share: float) -> tuple[Any, float]:
        monkeypatch.setattr("workbench.training.validation.UNIGRAM_SHARE", share)
        validation = Validation(windows, batch=4, draws=2)
        estimate, items = validation.evaluate(trainer(Unigram(chance), objective))
        assert estimate.noise_stderr is not None
        return items.total_N, estimate.noise_stderr

    exact = -chance.log()[tokens].sum(dim=1)
    totals, noise = found(1.0)
    assert totals == pytest.approx(exact.numpy(), rel=1e-5)
    assert noise == pytest.approx(0, abs=1e-6)
    totals, noise = found(0.8)
    without, all_noise = found(0.0)
    assert totals - exact.numpy() == pytest.approx(0.2 * (without - exact.numpy()), rel=1e-4)
    assert noise == pytest.approx(0.2 * all_noise, rel=1e-4)


def test_draws_may_be_asked_for_and_one_order_shows_no_noise() -> None:
    validation = Validation(all_windows(1), batch=81, draws=2)
    asked = trainer(*made("aoar", mdlm(1)))
    estimates = [validation.evaluate(asked, draws=draws)[0] for draws in (None, 3, 1)]
    assert [estimate.draws for estimate in estimates] == [2, 3, 1]
    assert [estimate.noise_stderr is None for estimate in estimates] == [False, False, True]


@pytest.mark.parametrize(("n", "batch", "ranks"), [(1, 4, 3), (7, 2, 3), (12, 2, 3), (13, 2, 3)])
def test_ranks_count_every_row_once_in_as_many_equal_batches(
    n: int, batch: int, ranks: int
) -> None:
    shares = [
        list(rank_chunks(n, batch, rank, ranks, torch.device("cpu"))) for rank in range(ranks)
    ]
    assert {len(share) for share in shares} == {math.ceil(n / (batch * ranks))}
    chunks = [chunk for share in shares for chunk in share]
    assert all(len(chunk.rows) == batch for chunk in chunks)
    rows, counts = (
        torch.cat([getattr(chunk, name) for chunk in chunks]) for name in ("rows", "counts")
    )
    assert rows[counts == 1].sort().values.tolist() == list(range(n))
    assert (counts[rows < n - 1] == 1).all(), "the last one fills up"
    assert rows.max() == n - 1


def test_a_mean_has_the_standard_error_of_its_sample() -> None:
    values = np.array([2.0, 3.0, 7.0])
    found = mean_estimate(values.sum(), (values**2).sum(), 3)
    assert (found.value, found.n) == (4, 3)
    assert found.stderr == pytest.approx(values.std(ddof=1) / 3**0.5)
    assert mean_estimate(2.0, 4.0, 1) == Estimate(2.0, None, 1)
    assert mean_estimate(0.3, 0.03 - 1e-12, 3).stderr == 0, "rounding makes no square below zero"
    pair = mean_estimate(4.0, 10.0, 2)
    assert pair == Estimate(2.0, 1.0, 2)


def test_another_unit_scales_a_value_and_its_errors_that_are_known() -> None:
    estimate = Estimate(3.0, 0.5, 7, draws=2, noise_stderr=0.25)
    assert estimate.scaled(4) == Estimate(12.0, 2.0, 7, draws=2, noise_stderr=1.0)
    assert Estimate(3.0, None, 1).scaled(4) == Estimate(12.0, None, 1)


def test_a_sequence_has_the_weighted_sum_of_its_positions() -> None:
    model = network(doubled=False, causal=True)
    seen = Autoregressive(VOCAB).corrupt(batch(EVERY_SEQUENCE))
    asked = trainer(model, Autoregressive(VOCAB))
    plain = position_nll(asked, seen)
    torch.testing.assert_close(sequence_nll(asked, seen), plain.sum(dim=1))
    weights = torch.arange(float(L)).expand(V**L, L)
    weighted = sequence_nll(asked, replace(seen, weights_BL=weights))
    torch.testing.assert_close(weighted, (plain * weights).sum(dim=1))


def test_blocks_of_one_have_no_noise() -> None:
    validation = Validation(all_windows(1), batch=81, draws=8)
    estimate, _ = validation.evaluate(trainer(network(doubled=True), block(1)))
    assert (estimate.draws, estimate.noise_stderr) == (None, None)


def test_the_value_is_the_weighted_mean_over_tokens() -> None:
    number = np.arange(V**L)
    weight = 1.0 + number % 3
    windows = HeldOutWindows(EVERY_SEQUENCE.numpy(), number // 9, weight)
    model = network(doubled=False, causal=True)
    validation = Validation(windows, batch=81, draws=1)
    estimate, items = validation.evaluate(trainer(model, Autoregressive(VOCAB)))
    assert estimate.value == pytest.approx(weight @ items.total_N / (weight.sum() * L))
    assert (estimate.n, estimate.documents) == (81, 9)


@pytest.mark.slow
@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize(("objective", "low", "high"), [("mdlm", 0.8, 1.2), ("block", 0.8, 1.35)])
def test_the_stated_noise_is_the_spread_over_draws(
    objective: str, low: float, high: float, draws: int, trained: TrainedRuns
) -> None:
    """Within a fifth. After 12 steps a token's NLL hardly depends on the other masked ones, which
    the statement allows for: 1.10 times the spread is to be expected of it, and of blocks of 8,
    where a mask hides more at once, 1.15."""
    run = trained[objective]
    loaded = load_run_model(run, device="cpu")
    prepared = PreparedData.open(run.results / run.config_json()["data"]["folder"])
    validation = Validation(validation_windows(prepared, loaded.config.data), batch=64, draws=draws)
    found = [validation.evaluate(as_trainer(loaded), noise=noise)[0] for noise in range(100)]
    stated = math.sqrt(np.mean([one.noise_stderr**2 for one in found if one.noise_stderr]))
    spread = float(np.std([one.value for one in found], ddof=1))
    assert low < stated / spread < high


def test_the_noise_between_draws_leaves_out_what_is_by_design() -> None:
    """Draws that differ alike in all windows are no noise; independent ones have their variance."""
    rng = np.random.default_rng(0)
    by_design = rng.normal(size=(1, 4)) * 100 + rng.normal(size=(50, 1)) * 100
    assert between_draws(by_design + np.zeros((50, 4))) == pytest.approx(0, abs=1e-9)
    noise = rng.normal(size=(4000, 4)) * 3
    assert between_draws(by_design[:1] + noise).mean() == pytest.approx(9 / 4, rel=0.05)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.uint32])
def test_the_ranks_read_every_window_once_in_batches_of_one_size(dtype: type) -> None:
    windows_NL: np.ndarray = np.arange(70, dtype=dtype).reshape(7, 10) * 900
    cpu, seen = torch.device("cpu"), []
    for rank in range(2):
        for chunk in rank_chunks(7, 2, rank, 2, cpu):
            tokens_BL = tokens_of(windows_NL, chunk, cpu)
            assert (tokens_BL.shape, tokens_BL.dtype) == ((2, 10), torch.int64)
            assert chunk.rows.tolist() == chunk.on_host.tolist()
            seen += tokens_BL[chunk.counts > 0].tolist()
    assert sorted(seen) == windows_NL.tolist()


def test_windows_go_to_a_gpu_as_they_are_stored_and_nobody_waits_for_them() -> None:
    windows_NL: np.ndarray = np.arange(70, dtype=np.uint16).reshape(7, 10)
    with moves() as seen:
        for chunk in rank_chunks(7, 2, 0, 2, CUDA):
            tokens_BL = tokens_of(windows_NL, chunk, CUDA)
            assert (tokens_BL.device, tokens_BL.dtype) == (CUDA, torch.int64)
        assert seen == [("_to_copy", "cpu", "cuda", True)] * 2
