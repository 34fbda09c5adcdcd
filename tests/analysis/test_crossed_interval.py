"""Every answer says what its interval runs over, and what was asked for in its place."""

from pathlib import Path
from typing import Any, get_args

import pytest

from tests.made_runs import MakeRun
from workbench.analysis.crossed import Over
from workbench.analysis.crossover import crossovers
from workbench.analysis.difference import differences
from workbench.analysis.effective_data import effective_data
from workbench.analysis.outcomes import outcomes
from workbench.store import ingest


def answers(results: Path, over: Over) -> dict[str, dict[str, Any]]:
    """An answer of each command with an option `--over`."""
    first = outcomes(results, "made", "val_loss", over=over)[0]
    return {
        "crossovers": crossovers(results, "made", "val_loss", "tokens", over=over)[0],
        "difference, last": differences(results, "made", "val_loss", "last", over=over)[0],
        "difference, best": differences(results, "made", "val_loss", "best", over=over)[0],
        "outcomes, last": first["last"],
        "outcomes, best": first["best"],
        "effective data": effective_data(results, "made", "val_loss", over=over)[0],
    }


@pytest.mark.parametrize("over", get_args(Over))
@pytest.mark.parametrize("items", [None, [0.2, -0.1, -0.1]], ids=["without items", "with items"])
def test_over_is_what_was_used_and_another_wish_is_named(
    results: Path, make_run: MakeRun, over: Over, items: list[float] | None
) -> None:
    for seed in range(3):
        s, shift = f"training.seed={seed}", 0.02 * seed
        for unique in (12_800, 25_600):
            u = f"data.unique_tokens={unique}"
            end = 3.0 - unique / 25_600
            make_run(f"a{seed}{unique}", {10: 4.0, 20: end + shift}, items=items, overrides=[s, u])
        challenger = [s, "data.unique_tokens=12800", "training.objective='mdlm'"]
        others = None if items is None else [0.3, -0.1, -0.2]
        make_run(f"d{seed}", {10: 4.5, 20: 2.3 - shift}, items=others, overrides=challenger)
    ingest(results)
    for name, answer in answers(results, over).items():
        assert answer["over_asked"] == over, name
        known = {"seeds"} if items is None else {"seeds", "documents"}
        if set(over.split("+")) <= known:
            assert answer["over"] == over, name
            assert "was asked for" not in (answer["ci95_note"] or ""), name
        elif over == "documents":
            assert answer["over"] != over, name
            assert "an interval over documents was asked for" in answer["ci95_note"], name
            assert "values of single documents are in the results folder" in answer["ci95_note"]
        else:
            assert answer["over"] == "seeds", name
        if answer["ci95"] and answer["over"]:
            words = [one[:-1] for one in str(answer["over"]).split("+")]
            assert all(word in answer["ci95_method"] for word in words), name
