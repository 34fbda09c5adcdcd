"""Places for runs: a GPU each, or shared by small runs that ask for it."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.running.studies import SCRIPTED
from workbench.errors import InputError
from workbench.planning.prepare import prepare_study
from workbench.recipe import RunConfig, load_recipe
from workbench.running import slots
from workbench.running.slots import Slots, make_slots
from workbench.running.study import make_folders, run_study
from workbench.training.energy import SHARED_GPU


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "visible_gpus", lambda: ["0", "MIG-7"])


def runs(recipe: Path, *keys: str) -> list[RunConfig]:
    return load_recipe(recipe, list(keys)).runs


def filled(made: Slots, ranks: int = 1) -> list[str]:
    """The GPUs of as many runs as there is room for, as their workers see them."""
    taken = iter(lambda: made.take(ranks), None)
    return [slot.env["CUDA_VISIBLE_DEVICES"] for slot in taken]


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("jobs", "runs_per_gpu", "gpus"),
    [
        (None, 1, ["0", "MIG-7"]),
        (None, 3, ["0", "MIG-7"] * 3),
        (1, 3, ["0"]),
        (2, 3, ["0", "MIG-7"]),
        (3, 1, ["0", "MIG-7", "0"]),
        (6, 1, ["0", "MIG-7"] * 3),
    ],
)
def test_small_runs_share_gpus_in_turns(
    recipe: Path, jobs: int | None, runs_per_gpu: int, gpus: list[str]
) -> None:
    assert filled(make_slots(runs(recipe), jobs, runs_per_gpu)) == gpus


@pytest.mark.usefixtures("two_gpus")
def test_a_run_sees_that_it_shares_its_gpu(recipe: Path) -> None:
    """Its energy is then not its own."""

    def shared(jobs: int) -> list[bool]:
        made = make_slots(runs(recipe), jobs, 1)
        return [SHARED_GPU in slot.env for slot in iter(lambda: made.take(1), None)]

    assert shared(2) == [False, False]
    assert shared(3) == [True, False, True]


@pytest.mark.usefixtures("two_gpus")
def test_a_run_of_several_ranks_shares_no_gpu(recipe: Path) -> None:
    sharded = runs(recipe, "parallelism.shard=2")
    for jobs in (None, 4):
        assert filled(make_slots(sharded, jobs, 4), ranks=2) == ["0,MIG-7"]
    with pytest.raises(InputError, match="needs 4 GPUs, and 2 are visible"):
        make_slots(runs(recipe, "parallelism.shard=4"), None, 4)


@pytest.mark.usefixtures("two_gpus")
def test_runs_on_cpus_are_not_counted_by_gpus(recipe: Path) -> None:
    made = make_slots(runs(recipe, 'training.device="cpu"'), 5, 7)
    assert (len(made.free), made.gpus) == (5, None)


def test_the_recipe_says_how_many_runs_share_a_gpu(
    recipe: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that do nothing but be there, on the one GPU that is named."""
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SCRIPTED_TRAIN_S", "0.5")
    monkeypatch.setattr(slots, "visible_gpus", lambda: ["0"])
    most: Counter[str] = Counter()

    def train(name: str, *keys: str) -> None:
        planned = load_recipe(recipe, list(keys))
        folders = make_folders(planned, prepare_study(planned, results / name), results / name)
        for run in folders.values():
            (run.path / "behaviour").write_text("finish")
        finished = threading.Event()

        def watch() -> None:
            while not finished.wait(0.02):
                at_once = sum(run.is_claimed() for run in folders.values())
                most[name] = max(most[name], at_once)

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert run_study(planned, results / name).ok
        finished.set()
        watcher.join()

    train("alone")
    train("shared", "launcher.local.runs_per_gpu=2")
    assert most == {"alone": 1, "shared": 2}
