"""Generated texts by length and passes, beside held-out text."""

from typing import Any

import pytest

from workbench.errors import InputError
from workbench.figures import Figure, text_quality_figure


def number(mean: float) -> dict[str, Any]:
    return {"mean": mean, "ci95": [mean - 0.1, mean + 0.1], "ci95_method": "t", "ci95_note": None}


def row(
    objective: str, steps: int | None, nll: float, *, tokens: int = 32, sampler: str | None = "own",
    unique: int = 12_800, weights: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "study": "made", "objective": objective, "group": {"unique_tokens": unique},
        "sampler": sampler, "temperature": 1.0, "weights": weights, "tokens": tokens,
        "steps": steps, "seeds": 2, "nll": number(nll), "entropy": number(2.0),
        "distinct": number(0.9), "copied": None, "flops": number(1e6), "estimators": [],
        "runs": [f"{objective}{unique}"],
    }  # fmt: skip


HELD_OUT = row("ar", None, 2.0, sampler=None)
ROWS = [HELD_OUT, row("ar", None, 2.1), row("mdlm", 4, 3.0), row("mdlm", 16, 2.5)]


@pytest.fixture(scope="module")
def drawn() -> Figure:
    return text_quality_figure(ROWS)


def test_an_interval_that_reaches_where_no_share_can_be_is_not_drawn() -> None:
    almost = row("ar", None, 2.1) | {"distinct": number(0.95), "copied": number(0.01)}
    data = text_quality_figure([almost]).data
    assert data.filter(data["low"].is_null())["measure"].to_list() == ["distinct", "copied"]


def test_a_sampler_without_steps_takes_a_pass_a_token(drawn: Figure) -> None:
    nll = drawn.data.filter(measure="nll")
    found = dict(zip(nll["series"], nll["passes"], strict=True))
    assert found["AR"] == 32
    assert sorted(nll.filter(series="masked diffusion")["passes"]) == [4, 16]


def test_held_out_text_has_no_place_along_the_passes(drawn: Figure) -> None:
    rows = drawn.data.filter(drawn.data["series"].is_null())
    assert rows["passes"].null_count() == len(rows) == 3, "of three measures"
    assert rows.filter(measure="nll")["value"].to_list() == [2.0]


def test_a_measure_that_no_text_has_takes_no_panel(drawn: Figure) -> None:
    assert set(drawn.data["measure"]) == {"nll", "entropy", "distinct"}
    assert len(drawn.to_dict()["concat"]) == 3


def test_each_length_has_a_column() -> None:
    short = [row("mdlm", 4, 2.7, tokens=16), row("mdlm", 16, 2.6, tokens=16)]
    spec = text_quality_figure([*ROWS, *short]).to_dict()
    assert spec["columns"] == 2
    assert [panel["title"] for panel in spec["concat"][:2]] == ["16 tokens", "32 tokens"]


def test_configurations_are_named_by_what_differs() -> None:
    rows = [*ROWS, row("mdlm", 4, 2.9, unique=32_000), row("mdlm", 4, 2.8, weights="ema")]
    names = set(text_quality_figure(rows).data["series"].drop_nulls())
    assert len(names) == 4
    assert any("32k unique tokens" in name for name in names)
    assert any("ema" in name for name in names)


def test_more_configurations_than_colours_are_refused() -> None:
    rows = [row("mdlm", 4, 2.9, unique=unique) for unique in range(1, 9)]
    with pytest.raises(InputError, match=r"--where"):
        text_quality_figure(rows)
