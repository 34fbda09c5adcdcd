"""Laws of plug-ins: fitted as built-in ones are, their origin kept with the fit."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import InstallPlugin
from workbench.errors import InputError
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.read_table import read_table
from workbench.laws.fitting.tournament import tournament
from workbench.laws.law import Law, Rows
from workbench.laws.registry import LAWS
from workbench.laws.request import get_law

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin" / "src"
TRUE = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.33, "gamma": 0.2}


@pytest.fixture
def example(install_plugin: InstallPlugin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Law]:
    monkeypatch.syspath_prepend(EXAMPLE)
    install_plugin("workbench-example", {"laws": {"epoch_power": "workbench_example:EPOCH_POWER"}})
    law = LAWS["epoch_power"]
    assert isinstance(law, Law)
    yield law
    for module in [name for name in sys.modules if name.startswith("workbench_example")]:
        del sys.modules[module]


def grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sizes = (1e7, 4e7, 2e8, 1e9)
    shape = np.meshgrid(sizes, (1e8, 1e9, 1e10), (1, 4, 16, 64), indexing="ij")
    n, unique, epochs = (part.ravel() for part in shape)
    return n, unique * epochs, unique


def written(path: Path, law: Law) -> LossTable:
    n, total, unique = grid()
    loss = law.predict(TRUE, Rows.of(n, total, unique))
    rows = ["n_params,total_tokens,unique_tokens,loss"]
    rows += [
        ",".join(map(repr, map(float, row))) for row in zip(n, total, unique, loss, strict=True)
    ]
    path.write_text("\n".join(rows) + "\n")
    return read_table(path, {})


def test_the_examples_law_is_what_its_formula_says(example: Law) -> None:
    n, total, unique = grid()
    seen = example.predict(TRUE, Rows.of(n, total, unique))
    v = TRUE
    by_hand = v["E"] + v["A"] / n ** v["alpha"]
    by_hand += v["B"] / (unique ** v["beta"] * (total / unique) ** v["gamma"])
    np.testing.assert_allclose(seen, by_hand, rtol=1e-12)


def test_the_slopes_of_the_examples_law_are_those_of_its_terms(example: Law) -> None:
    theta = example.internal(TRUE)[None]
    rows = Rows.of(*grid())
    terms, slopes = example.terms(theta, rows, True)
    assert slopes is not None
    for j in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, j] = 1e-5
        ahead, behind = (example.terms(theta + s * step, rows, False)[0] for s in (1, -1))
        np.testing.assert_allclose(slopes[..., j], (ahead - behind) / 2e-5, atol=1e-6)
    assert np.isfinite(terms).all()


def test_a_fit_of_a_plug_ins_law_finds_what_made_the_losses(example: Law, tmp_path: Path) -> None:
    table = written(tmp_path / "losses.csv", example)
    (fit,) = fit_law(example, table, FitOptions(starts=16, resamples=0, diagnostics=False))
    for name, value in TRUE.items():
        assert fit.params[name] == pytest.approx(value, rel=0.02)
    assert fit.row()["citation"].endswith("(workbench-example 1.0, numbers = 1)")


def test_the_tournament_goes_on_without_a_law_that_cannot_be_imported(
    example: Law, tmp_path: Path, install_plugin: InstallPlugin
) -> None:
    install_plugin(
        "broken", {"laws": {"brittle": "broken_law:D"}}, {"broken_law": "import nothing_x"}
    )
    table = written(tmp_path / "losses.csv", example)

    class Some(dict[str, Law]):
        def __getitem__(self, name: str) -> Law:
            return LAWS[name]  # type: ignore[return-value]

    some = Some(dict.fromkeys(("chinchilla", "epoch_power", "brittle")))
    options = FitOptions(starts=8, resamples=0, diagnostics=False)
    fits, missing = tournament(some, table, options)
    assert {fit.law for fit in fits} == {"chinchilla", "epoch_power"}
    assert [reason.partition(" (")[0] for reason in missing] == ["brittle: the law brittle"]
    assert "No module named 'nothing_x'" in missing[0]
    assert "brittle" not in LAWS.usable()
    with pytest.raises(InputError, match=r"package broken 1\.0"):
        get_law("brittle")


def test_unknown_laws_are_answered_with_those_of_plug_ins(example: Law) -> None:
    with pytest.raises(InputError, match="did you mean 'epoch_power'"):
        get_law("epochs_power")


@pytest.mark.parametrize("name", ["chinchilla", "all"])
def test_a_law_that_shadows_a_built_in_is_refused(install_plugin: InstallPlugin, name: str) -> None:
    install_plugin("shadow", {"laws": {name: "shadow:D"}})
    with pytest.raises(InputError, match=r"the workbench itself; package shadow 1\.0"):
        LAWS[name]
    assert LAWS.get("chinchilla"), "fits that are kept are still drawn"


def test_a_law_of_another_name_than_its_entry_point_is_refused(
    example: Law, install_plugin: InstallPlugin
) -> None:
    install_plugin("other", {"laws": {"renamed": "workbench_example:EPOCH_POWER"}})
    with pytest.raises(InputError, match="is no Law or Procedure of that name"):
        LAWS["renamed"]
