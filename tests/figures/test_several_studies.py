"""Several studies in one figure: their own curves, and only like beside like."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.made_runs import run_maker
from workbench.analysis.curves import Curve, StudyCurves, load_curves
from workbench.errors import InputError
from workbench.figures import curves_figure, studies_figure
from workbench.store import ingest


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies a and b of one run each, and a run of both."""
    results = tmp_path_factory.mktemp("two") / "results"
    make_run = run_maker(results)
    make_run("r1", {1: 5.0, 2: 4.0, 3: 3.5}, study="a")
    make_run("r2", {1: 5.0, 2: 4.5, 3: 4.4}, study="b", overrides=["training.lr=0.1"])
    make_run("r3", {1: 6.0, 2: 5.5, 3: 5.4}, study="old", protocol=1)
    ingest(results)
    return results


def changed(study: str, change: Callable[[Curve], Curve]) -> Any:
    """A loader whose curves of one study are others."""

    def load(results: Path, name: str, metric: str) -> StudyCurves:
        loaded = load_curves(results, name, metric)
        curves = [change(curve) for curve in loaded.curves] if name == study else loaded.curves
        return replace(loaded, curves=curves)

    return load


def test_each_study_is_drawn_as_alone_in_a_colour_of_its_own(two: Path) -> None:
    data = studies_figure(two, ["a", "b"], "val_loss").data
    assert set(data["series"]) == {"study a", "study b"}
    for name in ("a", "b"):
        alone = curves_figure(two, name, ["val_loss"]).data
        own = data.filter(series=f"study {name}")
        assert (
            own.select("x", "value", "curve").rows() == alone.select("x", "value", "curve").rows()
        )


def test_values_of_another_kind_are_refused_by_name(two: Path) -> None:
    with pytest.raises(InputError, match="two or more"):
        studies_figure(two, ["a", "a"], "val_loss")
    with pytest.raises(InputError, match=r"protocols.*2 \(a\); 1 \(old\)"):
        studies_figure(two, ["a", "old"], "val_loss")
    bound = changed("b", lambda curve: replace(curve, estimator="nelbo/draws=2"))
    with pytest.raises(
        InputError, match=r"AR is estimated in several ways.*nll \(a\); nelbo \(b\)"
    ):
        studies_figure(two, ["a", "b"], "val_loss", load=bound)
    words = changed(
        "b", lambda curve: replace(curve, keys={**curve.keys, "data.tokenizer": "words"})
    )
    with pytest.raises(InputError, match=r"tokenizers: .*words \(b\).*val_bpb"):
        studies_figure(two, ["a", "b"], "val_loss", load=words)
    with pytest.raises(InputError, match="study a has no val_bpb"):
        studies_figure(two, ["a", "b"], "val_bpb")


def test_what_differs_and_can_be_drawn_is_named_below_the_title(two: Path) -> None:
    def notes(load: Any) -> str:
        title = studies_figure(two, ["a", "b"], "val_loss", load=load).to_dict()["title"]
        return " ".join(title["subtitle"])

    # A key that follows from the study is named once, and is no part of labels.
    assert "also differ by study: training.lr" in notes(load_curves)
    assert set(studies_figure(two, ["a", "b"], "val_loss").data["label"]) == {""}
    assert "the text differs" not in notes(load_curves)
    other = changed("b", lambda curve: replace(curve, keys={**curve.keys, "data.corpus": "poems"}))
    assert "the text differs: python-stdlib (a); poems (b)" in notes(other)
    unknown = changed("b", lambda curve: replace(curve, estimator=None, protocol=None))
    assert "not known (b)" in notes(unknown)
    same = changed("b", lambda curve: replace(curve, run_id="r1"))
    assert "runs of more than one of the studies: 1" in notes(same)
