"""What is compared with what: nothing but seeds is averaged."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import InstallPlugin
from tests.made_runs import MakeRun
from tests.plugins import objective_module
from workbench.analysis.crossover import crossovers
from workbench.analysis.curves import Curve, StudyCurves, load_curves
from workbench.analysis.difference import differences
from workbench.analysis.effective_data import effective_data
from workbench.analysis.pairing import (
    Pair,
    compared_pairs,
    finished_runs,
    make_pairs,
    mean_curve,
    parse_side,
    seed_pairs,
)
from workbench.analysis.run_keys import distinguishing_keys
from workbench.errors import InputError
from workbench.figures import crossover_figure
from workbench.figures.crossovers import side_text
from workbench.store import ingest

AR = {100: 1.0, 200: 2.0}
LATER = {100: 0.5, 200: 1.4}
DIFFUSION = {100: 1.5, 200: 1.0}
MDLM = "training.objective='mdlm'"


def test_each_variant_of_a_side_is_compared_by_itself(results: Path, make_run: MakeRun) -> None:
    """Noise that one objective alone knows is no seed."""
    for seed in (0, 1):
        s = f"training.seed={seed}"
        make_run(f"plain{seed}", AR, overrides=[s])
        make_run(f"masked{seed}", LATER, overrides=[s, "training.input_mask=0.3"])
        make_run(f"mdlm{seed}", DIFFUSION, overrides=[s, MDLM])
    ingest(results)
    rows = crossovers(results, "made", "val_loss", "tokens")
    assert [row["group"]["training.input_mask"] for row in rows] == [None, 0.3]
    plain, masked = (row["crossover"] / 2048 for row in rows)
    assert plain == pytest.approx(100 + 100 * 0.5 / 1.5)
    assert masked == pytest.approx(100 + 100 * 1.0 / 1.4)
    assert [row["seeds"] for row in rows] == [2, 2]
    (asked,) = crossovers(
        results, "made", "val_loss", "tokens",
        baseline={"training.objective": "ar", "training.input_mask": 0.3},
    )  # fmt: skip
    assert asked["crossover"] == rows[1]["crossover"]


def test_variants_of_both_sides_are_named_by_side(results: Path, make_run: MakeRun) -> None:
    """Under `match`, other keys may differ on either side: each combination is a pair."""
    compare = {"baseline": "ar", "challenger": "mdlm", "match": ["data.unique_tokens"]}
    for lr in (1e-3, 3e-3):
        make_run(f"ar{lr}", AR, compare=compare, overrides=[f"training.lr={lr}"])
        make_run(f"m{lr}", DIFFUSION, compare=compare, overrides=[f"training.lr={lr}", MDLM])
    ingest(results)
    groups = [row["group"] for row in crossovers(results, "made", "val_loss", "tokens")]
    named = [(group["baseline.training.lr"], group["challenger.training.lr"]) for group in groups]
    assert sorted(named) == [(1e-3, 1e-3), (1e-3, 3e-3), (3e-3, 1e-3), (3e-3, 3e-3)]


def test_numbers_of_an_objectives_plug_in_are_no_key_of_a_pair_and_make_variants(
    results: Path, make_run: MakeRun, install_plugin: InstallPlugin
) -> None:
    make_run("ar", AR, compare={"challenger": "extra"})
    for numbers, values in ((1, DIFFUSION), (2, LATER)):
        sys.modules.pop("maker_declared", None)
        install_plugin(
            "maker",
            {"objectives": {"extra": "maker_declared:DECLARED"}},
            {"maker_declared": objective_module(numbers=numbers)},
        )
        made = ["training.objective='extra'"]
        make_run(f"n{numbers}", values, compare={"challenger": "extra"}, overrides=made)
        ingest(results)
        rows = crossovers(results, "made", "val_loss", "tokens")
        assert len(rows) == numbers
    key = "plugins.objectives.extra"
    assert sorted(row["group"][key] for row in rows) == [1, 2]
    ar, old, new = {"training.objective": "ar"}, {key: 1, "x": 1}, {key: 2, "x": 1}
    assert key not in distinguishing_keys([ar, {"training.objective": "extra", **old}])
    extras = [{"training.objective": "extra", **numbers} for numbers in (old, new)]
    assert key in distinguishing_keys([ar, *extras])


def test_effective_data_does_not_take_variants_for_seeds_either(
    results: Path, make_run: MakeRun
) -> None:
    for unique in (12_800, 25_600):
        u = f"data.unique_tokens={unique}"
        make_run(f"ar{unique}", {100: 12_800 / unique}, overrides=[u])
        for weighting, value in (("elbo_t", 0.75), ("maskgit", 0.6)):
            make_run(
                f"{weighting}{unique}", {100: value * 12_800 / unique},
                overrides=[u, MDLM, f"training.loss_weighting='{weighting}'"],
            )  # fmt: skip
    ingest(results)
    rows = effective_data(results, "made", "val_loss")
    small = {
        row["group"]["training.loss_weighting"]: row["value"]
        for row in rows
        if row["group"]["unique_tokens"] == 12_800
    }
    assert small == {"elbo_t": 0.75, "maskgit": 0.6}


def test_keys_that_one_objective_has_distinguish_its_configurations() -> None:
    def keys(objective: str, **others: object) -> dict[str, object]:
        return {"training.objective": objective, **others}

    mask, schedule = "training.input_mask", "training.noise_schedule"
    plain = [keys("ar"), keys("mdlm", **{schedule: "linear"})]
    assert distinguishing_keys(plain) == [], "a single schedule distinguishes nothing"
    assert distinguishing_keys([*plain, keys("mdlm", **{schedule: "cosine"})]) == [schedule]
    assert distinguishing_keys([*plain, keys("ar", **{mask: 0.1})]) == [mask]


def test_keys_that_a_version_did_not_know_do_not_part_runs(
    results: Path, make_run: MakeRun
) -> None:
    make_run("a", AR)
    make_run("d", DIFFUSION, overrides=[MDLM])
    path = results / "runs" / "a" / "config.json"
    document = json.loads(path.read_text())
    assert document["config"]["evaluation"].pop("shots", 0) is None
    path.write_text(json.dumps(document))
    ingest(results)
    assert len(crossovers(results, "made", "val_loss", "tokens")) == 1


def test_a_default_is_found_by_the_value_that_it_resolves_from(
    results: Path, make_run: MakeRun
) -> None:
    """Without a criterion for dropout, AR with and without it are two configurations."""
    make_run("plain", AR)
    make_run("dropped", LATER, overrides=["model.dropout=0.1"])
    make_run("mdlm", DIFFUSION, overrides=[MDLM])
    ingest(results)
    sides = [{"training.objective": "ar", "model.dropout": value} for value in (0.0, 0, 0.1)]
    found = [differences(results, "made", "val_loss", baseline=side)[0]["runs"] for side in sides]
    assert [runs["baseline"] for runs in found] == [["plain"], ["plain"], ["dropped"]]


def test_each_of_a_list_of_values_is_a_side(
    results: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    compare = {"challenger": {"training.objective": ["mdlm", "block"]}}
    make_run("ar", AR, compare=compare)
    make_run("mdlm", DIFFUSION, overrides=[MDLM], compare=compare)
    block = ["training.objective='block'", "training.block_size=16"]
    make_run("block", LATER, overrides=block, compare=compare)
    make_run("other", LATER, overrides=["training.objective='aoar'"], compare=compare)
    ingest(results)
    rows = crossovers(results, "made", "val_loss", "tokens")
    pairs = {row["group"]["training.objective"]: row["runs"]["challenger"] for row in rows}
    assert pairs == {"mdlm": ["mdlm"], "block": ["block"]}
    drawn = crossover_figure(results, "made", "val_loss", "tokens", rows)
    assert drawn.data["panel"].n_unique() == 2
    assert drawn.data["curve"].n_unique() == 2
    name = "masked diffusion or block diffusion"
    assert name == side_text(compare["challenger"])
    assert side_text({"training": {"objective": "ar"}, "data.unique_tokens": [12_800, 32_000]}) == (
        "AR, 12.8k unique tokens or 32k unique tokens"
    )


@pytest.mark.parametrize("answer", [crossovers, differences, effective_data])
@pytest.mark.parametrize(
    ("side", "words"),
    [
        ({"model.dropot": 0.1}, ["unknown key model.dropot", "'model.dropout'", "0, 0.1"]),
        ({"model.dropout": 0.2}, ["made with val_loss has model.dropout = 0.2", "0, 0.1"]),
        ("block", ['training.objective = "block"', '"ar", "mdlm"']),
    ],
)
def test_a_side_that_no_stored_run_has_is_refused_with_what_they_have(
    results: Path, make_run: MakeRun, answer: Any, side: Any, words: list[str]
) -> None:
    make_run("ar", AR, overrides=["model.dropout=0.1"])
    make_run("mdlm", DIFFUSION, overrides=[MDLM])
    ingest(results)
    axis = {"axis": "tokens"} if answer is crossovers else {}
    for name in ("baseline", "challenger"):
        with pytest.raises(InputError) as refused:
            answer(results, "made", "val_loss", **axis, **{name: side})
        for word in (f"--{name}", *words):
            assert word in str(refused.value)
    with pytest.raises(InputError, match="share all"):  # each has runs, and no two are a pair
        answer(results, "made", "val_loss", **axis)


def test_a_list_is_a_side_of_the_command_line_too() -> None:
    given = 'training.objective=["mdlm", "block"],training.betas=[[0.9, 0.95]],model.dropout=0.0'
    assert parse_side("--challenger", given) == {
        "training.objective": ["mdlm", "block"],
        "training.betas": [[0.9, 0.95]],
        "model.dropout": 0.0,
    }
    with pytest.raises(InputError, match="--challenger 1: expected COLUMN OP VALUE"):
        parse_side("--challenger", "model.dropout=0.0,1")


@pytest.mark.parametrize(
    ("key", "value"), [("checkpoint_points", 4), ("activation_checkpointing", "selective")]
)
def test_checkpoints_of_either_kind_distinguish_no_runs(
    results: Path, make_run: MakeRun, key: str, value: int | str
) -> None:
    kept = f"training.{key}={value}"
    make_run("ar0", AR)
    make_run("ar1", AR, overrides=["training.seed=1", kept])
    make_run("d0", DIFFUSION, overrides=[MDLM, kept])
    make_run("d1", DIFFUSION, overrides=[MDLM, "training.seed=1"])
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert row["seeds"] == 2
    runs = [{f"training.{key}": one, "training.lr": 1} for one in (None, value)]
    assert distinguishing_keys(runs) == []


def test_runs_of_before_there_was_a_choice_to_compile_are_compared_with_those_since(
    results: Path, make_run: MakeRun
) -> None:
    make_run("ar0", AR, overrides=["training.compile=false"])
    make_run("ar1", AR, overrides=["training.seed=1"])
    make_run("d0", DIFFUSION, overrides=[MDLM])
    make_run("d1", DIFFUSION, overrides=[MDLM, "training.seed=1", "training.compile=false"])
    ingest(results)
    (row,) = crossovers(results, "made", "val_loss", "tokens")
    assert row["seeds"] == 2


def made_curve(run_id: str, seed: int = 0, *, points: int = 3, finished: bool = True) -> Curve:
    """At tokens 1, 2, 3 and so on."""
    tokens = np.arange(1.0, points + 1)
    keys = {"training.seed": seed, "data.seed": 0}
    y = 10 + tokens * (seed + 1)
    return Curve(run_id, keys, {"tokens": tokens}, y, np.zeros(points), "nll", finished=finished)


def test_unfinished_runs_are_left_out_where_both_sides_have_finished_ones() -> None:
    done, going, late = made_curve("a"), made_curve("b", finished=False), made_curve("c", seed=1)
    left, unfinished = finished_runs(Pair({"k": 1}, [done, going], [late]))
    assert (left.group, left.baseline, left.challenger) == ({"k": 1}, [done], [late])
    assert unfinished == ["b"]
    for pair in (Pair({}, [done], [going]), Pair({}, [going], [done, late])):
        assert finished_runs(pair) == (pair, ["b"])


def test_a_mean_over_seeds_ends_where_the_shortest_does() -> None:
    curves = [
        made_curve("a", 0, points=5),
        made_curve("b", 2, points=3),
        made_curve("c", 4, points=4),
    ]
    x, y = mean_curve(curves, "tokens")
    assert (x.tolist(), y.tolist()) == ([1, 2, 3], [13, 16, 19])


def test_seeds_that_both_sides_have_make_pairs() -> None:
    ours, theirs = ([made_curve(f"{s}", s) for s in seeds] for seeds in ((0, 1, 2), (2, 3, 0)))
    found = seed_pairs(Pair({}, ours, theirs))
    assert [(one.seed, other.seed) for one, other in found] == [((0, 0), (0, 0)), ((0, 2), (0, 2))]
    assert [one is ours[place] for place, (one, _) in zip((0, 2), found, strict=True)] == [True] * 2
    assert [other is theirs[place] for place, (_, other) in zip((2, 0), found, strict=True)] == [
        True
    ] * 2


def test_sides_without_a_seed_in_common_are_paired_by_their_text() -> None:
    """An ensemble has no seed of training; several runs of one text are no pair of another."""

    def curves(*seeds: tuple[int | None, int | None]) -> list[Curve]:
        made = [made_curve(f"{text}-{own}", 0) for text, own in seeds]
        keys = [{"data.seed": text, "training.seed": own} for text, own in seeds]
        return [replace(one, keys=one.keys | key) for one, key in zip(made, keys, strict=True)]

    def texts(ours: list[Curve], theirs: list[Curve]) -> list[tuple[int, int]]:
        found = seed_pairs(Pair({}, ours, theirs))
        return [(one.seed.text, other.seed.text) for one, other in found]

    singles = curves((0, 0), (1, 1), (2, 2))
    assert texts(curves((2, None), (0, None)), singles) == [(2, 2), (0, 0)]
    assert texts(curves((0, 5), (1, 6)), singles) == [(0, 0), (1, 1)]
    assert texts(curves((0, 5), (0, 6)), singles) == []
    assert texts(curves((None, 5), (None, None)), singles) == []


def test_a_label_that_follows_the_unique_tokens_names_no_group_and_another_does() -> None:
    curves = []
    for unique, own in [(12_800, 1), (25_600, 1), (25_600, 2), (51_200, 1)]:
        keys = {"data.unique_tokens": unique, "labels.setting": f"u{unique}", "labels.own": own}
        keys["training.warmup_steps"] = unique // 3200
        for objective in ("ar", "mdlm") if unique < 51_200 else ("ar",):
            curve = made_curve(f"{objective}{unique}-{own}")
            curves.append(replace(curve, keys=keys | {"training.objective": objective}))
    pairs = make_pairs(StudyCurves("made", "val_loss", {}, curves[::-1]), "ar", "mdlm")
    assert [(pair.group["unique_tokens"], pair.group["labels.own"]) for pair in pairs] == [
        (12_800, 1), (25_600, 1), (25_600, 2),
    ]  # fmt: skip
    assert "labels.setting" not in pairs[0].group
    assert "training.warmup_steps" in pairs[0].group, "no label: it is named, though it follows"


def test_a_side_of_the_study_that_no_run_has_is_refused_by_its_place(
    results: Path, make_run: MakeRun
) -> None:
    compare = {"baseline": "ar", "challenger": "block"}
    make_run("ar", AR, compare=compare)
    make_run("mdlm", DIFFUSION, overrides=[MDLM], compare=compare)
    ingest(results)
    loaded = load_curves(results, "made", "val_loss")
    with pytest.raises(InputError, match=r"^study made: \[compare\] challenger"):
        compared_pairs(loaded)
    sides, _ = compared_pairs(loaded, challenger="mdlm")
    assert sides == ("ar", "mdlm")


def test_keys_in_which_both_sides_vary_are_named_by_side_and_those_of_one_plainly(
    results: Path, make_run: MakeRun
) -> None:
    compare = {"baseline": "ar", "challenger": "mdlm", "match": ["data.unique_tokens"]}
    for lr in (1e-3, 3e-3):
        make_run(f"ar{lr}", AR, compare=compare, overrides=[f"training.lr={lr}"])
        for decay in (0.1, 0.2):
            keys = [f"training.lr={lr}", f"training.weight_decay={decay}", MDLM]
            make_run(f"m{lr}-{decay}", DIFFUSION, compare=compare, overrides=keys)
    ingest(results)
    _, pairs = compared_pairs(load_curves(results, "made", "val_loss"))
    assert len(pairs) == 8
    sided = {"baseline.training.lr", "challenger.training.lr", "training.weight_decay"}
    assert all(set(pair.group) == {"unique_tokens", "n_params"} | sided for pair in pairs)


def test_runs_of_different_epochs_can_be_compared(results: Path, make_run: MakeRun) -> None:
    """What follows from the epochs is equal here; else [compare] match leaves it out."""
    alike = ["training.warmup_steps=8", "training.checkpoint_every=40"]
    for epochs in (32, 64):
        tokens = f"training.total_tokens={epochs * 12_800}"
        make_run(f"ar{epochs}", AR, overrides=[*alike, tokens])
        make_run(f"mdlm{epochs}", DIFFUSION, overrides=[*alike, tokens, MDLM])
    ingest(results)
    baseline = {"training.objective": "ar", "training.epochs": 32}
    challenger = {"training.objective": "mdlm", "training.epochs": 64}
    (row,) = differences(results, "made", "val_loss", baseline=baseline, challenger=challenger)
    assert row["runs"] == {"baseline": ["ar32"], "challenger": ["mdlm64"]}


def test_variants_are_named_by_the_keys_of_their_side_where_those_distinguish_them(
    results: Path, make_run: MakeRun
) -> None:
    """Rates that were tuned for each optimizer follow from it; a default has its own name."""
    for name, values, keys in (
        ("ar", AR, ("training.lr=0.03", "training.weight_decay=0.8")),
        ("muon", LATER, ("training.lr=0.01", "training.optimizer='muon'")),
        ("mdlm", DIFFUSION, (MDLM, "training.lr=0.02")),
    ):
        for seed in (0, 1):
            make_run(f"{name}{seed}", values, overrides=[f"training.seed={seed}", *keys])
    ingest(results)
    side = {"training.objective": "ar", "training.optimizer": ["adamw", "muon"]}
    loaded = replace(
        load_curves(results, "made", "val_loss"), compare={"match": ["data.unique_tokens"]}
    )
    _, pairs = compared_pairs(loaded, side, "mdlm")
    groups = [pair.group for pair in pairs]
    assert [group["training.optimizer"] for group in groups] == ["adamw", "muon"]
    assert not {"training.lr", "training.weight_decay"} & {key for g in groups for key in g}
    _, pairs = compared_pairs(loaded, "ar", "mdlm")
    assert "training.lr" in pairs[0].group, "the name of an objective does not distinguish them"
