"""How a study gets on: labels of any size, and a first estimate that leaves out the start."""

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from workbench.recipe import load_recipe
from workbench.running import progress
from workbench.running.progress import Progress, RunView, label
from workbench.runs.folder import RunStatus


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def views(**steps: int) -> dict[str, RunView]:
    return {name: RunView(name, 100, RunStatus(step=step)) for name, step in steps.items()}


def test_the_first_estimate_leaves_out_what_goes_before_the_first_step(clock: list[float]) -> None:
    shown = Progress("study", views(a=0, b=0))
    clock[0] = 60.0  # imports, compiling
    assert "to go" not in shown._headline()
    shown.update("a", RunStatus(step=2))
    clock[0] = 64.0
    shown.update("a", RunStatus(step=10))  # 2 steps a second
    assert "about 95 s to go" in shown._headline()


def test_steps_of_before_are_no_speed_of_now(clock: list[float]) -> None:
    shown = Progress("study", views(a=50))
    clock[0] = 10.0
    shown.update("a", RunStatus(step=50))
    clock[0] = 20.0
    assert "to go" not in shown._headline()
    shown.update("a", RunStatus(step=52))
    clock[0] = 30.0
    shown.update("a", RunStatus(step=62))
    assert "about 38 s to go" in shown._headline()


def test_a_run_of_any_size_has_a_label(clock: list[float]) -> None:
    config = load_recipe("quickstart", ["model.width=16", "model.layers=1", "model.heads=1"]).runs[
        0
    ]
    config = config.model_copy(update={"model": config.model.model_copy(update={"size": None})})
    for count, text in ((32_040, "32k"), (420, "420"), (1_250_000, "1.25M")):
        assert f" {text} U=12,800" in label("ab12", {"derived": {"n_params": count}}, config)


@pytest.mark.parametrize("change", ["width=16", "layers=1", "ffn=64", "heads=2", "tied=false"])
def test_a_size_whose_parts_were_set_otherwise_is_called_by_its_parameters(
    clock: list[float], change: str
) -> None:
    (named, *_), (changed, *_) = (
        load_recipe("quickstart", overrides).runs for overrides in ([], [f"model.{change}"])
    )
    document = {"derived": {"n_params": 32_040}}
    assert f" {named.model.size} U=" in label("ab12", document, named)
    assert changed.model.size == named.model.size
    assert " 32k U=" in label("ab12", document, changed)


@pytest.mark.parametrize("width", [50, 60, 140])
def test_a_narrow_terminal_cuts_labels_and_no_numbers(width: int) -> None:
    shown = Progress("study", {"a": RunView("a label " * 6, 400, RunStatus("running", step=3))})
    shown._live = SimpleNamespace(console=Console(width=width))
    out = StringIO()
    Console(width=width, file=out).print(shown._table())
    _, row = out.getvalue().splitlines()
    assert {"running", "3/400"} <= set(row.split())
    assert ("…" in row) == (width < 100)
