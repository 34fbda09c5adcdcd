"""Numbers of two evaluation protocols are compared nowhere."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.made_runs import MakeRun
from workbench.analysis.crossover import crossovers
from workbench.analysis.curves import load_curves
from workbench.analysis.difference import differences
from workbench.analysis.effective_data import effective_data
from workbench.analysis.outcomes import outcomes
from workbench.analysis.overfitting import overfitting_onset
from workbench.analysis.pairing import make_pairs
from workbench.analysis.run_keys import UNIQUE, distinguishing_keys, following_keys
from workbench.conditions import parse_conditions
from workbench.errors import InputError
from workbench.figures.points import families
from workbench.laws.fitting.study_table import study_table
from workbench.store import ingest

AR, MDLM = {100: 1.0, 200: 2.0}, {100: 1.5, 200: 1.0}
DIFFUSION = "training.objective='mdlm'"
BY_UNIQUE = {"baseline": "ar", "challenger": "mdlm", "match": ["data.unique_tokens"]}


def make_sides(make_run: MakeRun, ar: int | None, mdlm: int | None, **more: object) -> None:
    """A run of each objective, evaluated by these protocols."""
    name = f"{ar}-{mdlm}"
    make_run(f"ar-{name}", AR, protocol=ar, **more)
    make_run(f"mdlm-{name}", MDLM, protocol=mdlm, overrides=[DIFFUSION], **more)


@pytest.mark.parametrize("compare", [None, BY_UNIQUE])
def test_pairs_are_made_within_a_protocol_whatever_they_match(
    results: Path, make_run: MakeRun, compare: dict[str, object] | None
) -> None:
    make_sides(make_run, 1, 1, compare=compare)
    make_sides(make_run, 2, 2, compare=compare)
    ingest(results)
    rows = crossovers(results, "made", "val_loss", "tokens")
    assert [(row["group"]["protocol"], row["runs"]) for row in rows] == [
        (n, {"baseline": [f"ar-{n}-{n}"], "challenger": [f"mdlm-{n}-{n}"]}) for n in (1, 2)
    ]
    assert [row["group"]["protocol"] for row in differences(results, "made", "val_loss")] == [1, 2]
    rows = effective_data(results, "made", "val_loss")
    assert [row["group"]["protocol"] for row in rows] == [1, 2]


@pytest.mark.parametrize("compare", [None, BY_UNIQUE])
def test_runs_that_pair_across_protocols_alone_are_refused_with_the_way_out(
    results: Path, make_run: MakeRun, compare: dict[str, object] | None
) -> None:
    make_sides(make_run, None, 2, compare=compare)  # a run of before says nothing: it is 1
    ingest(results)
    along_tokens = partial(crossovers, axis="tokens")
    answers: list[Callable[..., Any]] = [along_tokens, differences, effective_data]
    for answer in answers:
        with pytest.raises(InputError, match=r"ar by 1, mdlm by 2.*Run the recipe again"):
            answer(results, "made", "val_loss")


def test_what_pairs_in_no_protocol_is_told_as_before(results: Path, make_run: MakeRun) -> None:
    make_run("ar", AR, protocol=1)
    make_run("mdlm", MDLM, protocol=2, overrides=[DIFFUSION, "data.unique_tokens=32_000"])
    ingest(results)
    with pytest.raises(InputError, match="share all other keys"):
        differences(results, "made", "val_loss")


def test_one_protocol_is_no_key(results: Path, make_run: MakeRun) -> None:
    make_sides(make_run, 2, 2)
    make_run("imported", AR, imported=True, overrides=["training.seed=4"])
    ingest(results)
    assert all("protocol" not in c.keys for c in load_curves(results, "made", "val_loss").curves)
    (row,) = differences(results, "made", "val_loss")
    assert "protocol" not in row["group"]


def test_imported_runs_are_compared_with_those_of_each_protocol(
    results: Path, make_run: MakeRun
) -> None:
    for protocol in (1, 2):
        make_run(f"mdlm-{protocol}", MDLM, protocol=protocol, overrides=[DIFFUSION])
    make_run("ar", AR, imported=True)
    make_run("theirs", MDLM, imported=True, overrides=[DIFFUSION, "data.unique_tokens=32_000"])
    make_run("ours", AR, imported=True, overrides=["data.unique_tokens=32_000"])
    ingest(results)
    loaded = load_curves(results, "made", "val_loss")
    pairs = make_pairs(loaded, "ar", "mdlm")
    found = [(p.group.get("protocol"), p.baseline[0].run_id, p.challenger[0].run_id) for p in pairs]
    assert sorted(found, key=str) == [
        (1, "ar", "mdlm-1"), (2, "ar", "mdlm-2"), (None, "ours", "theirs"),
    ]  # fmt: skip


def test_no_table_and_no_figure_averages_over_protocols(results: Path, make_run: MakeRun) -> None:
    make_run("old", AR, protocol=1)
    make_run("new", {100: 1.1, 200: 2.1}, protocol=2, overrides=["training.seed=1"])
    ingest(results)
    rows = outcomes(results, "made", "val_loss")
    assert [(row["group"]["protocol"], row["runs"]) for row in rows] == [(1, ["old"]), (2, ["new"])]
    assert [row["group"]["protocol"] for row in overfitting_onset(results, "made")] == [1, 2]
    drawn = families(load_curves(results, "made", "val_loss"), "tokens")
    assert [family.run_ids for family in drawn] == [("new",), ("old",)]


def test_a_protocol_is_named_first_and_follows_no_other_key() -> None:
    runs = [
        {"protocol": n, "data.unique_tokens": 5, "data.validation_documents": n} for n in (1, 2)
    ]
    assert distinguishing_keys(runs) == ["protocol"]
    runs = [{"protocol": n, UNIQUE: n, "model.width": n} for n in (1, 2)]
    assert following_keys(runs, UNIQUE) == ["model.width"]


def test_a_fit_takes_one_protocol_and_says_how_to_choose(results: Path, make_run: MakeRun) -> None:
    for protocol in (1, 2):
        for unique in (12_800, 32_000):
            keys = [f"data.unique_tokens={unique}"]
            make_run(f"{unique}-{protocol}", AR, protocol=protocol, overrides=keys)
    make_run("imported", AR, imported=True)
    ingest(results)
    with pytest.raises(InputError, match=r"protocols 1 and 2.*--where 'protocol = 2'"):
        study_table(results, "made")
    chosen = study_table(results, "made", where=parse_conditions(["protocol = 2"], "--where"))
    assert chosen.run_ids == ("12800-2", "32000-2")
