"""Validation: the estimate is unbiased, the noise that it states is the noise that it has."""

import copy
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.conftest import TrainedRuns
from tests.fake_cuda import CUDA, moves
from tests.training.toy import EVERY_SEQUENCE, VOCAB, L, V, mdlm, network, nll, trainer
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
from workbench.training.validation import Validation, between_draws, rank_chunks, tokens_of

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
