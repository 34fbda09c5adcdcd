"""The commands that answer: their JSON contract, their statuses, what they say to people."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.made_runs import MakeRun, make_crossing_seeds
from workbench.cli import app
from workbench.errors import InputError
from workbench.importing.importer import import_runs
from workbench.store import ingest, query

AT = ("last", "final")
AR = {s: 2.0 + abs(s - 100) / 100 for s in range(1, 400, 20)}
DIFFUSION = {s: 5.0 - s / 120 for s in range(1, 400, 20)}


@pytest.fixture
def study(results: Path, make_run: MakeRun) -> Path:
    for unique in (12_800, 32_000):
        u = f"data.unique_tokens={unique}"
        make_run(f"a{unique}", AR, overrides=[u])
        make_run(f"d{unique}", DIFFUSION, overrides=[u, "training.objective='mdlm'"])
    ingest(results)
    return results


def ask(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def ask_json(*arguments: str | Path) -> list[dict]:
    return json.loads(ask(*arguments, "--format", "json"))


def test_crossovers_hold_the_keys_of_the_contract(study: Path) -> None:
    rows = ask_json("crossover", "made", "--axis", "epochs", "--results", study)
    contract = {
        "study", "group", "metric", "axis", "baseline", "challenger", "status", "crossover",
        "last_x", "ci95", "all_crossings",
    }  # fmt: skip
    for row in rows:
        assert contract <= set(row)
        assert {"unique_tokens", "n_params"} <= set(row["group"])
        low, high = row["ci95"]
        assert low <= row["crossover"] <= high


def test_the_stricter_definition_is_never_earlier(study: Path) -> None:
    point, strict = (
        ask_json("crossover", "made", "--definition", definition, "--results", study)
        for definition in ("point", "best_so_far")
    )
    for row, stricter in zip(point, strict, strict=True):
        assert stricter["definition"] == "best_so_far"
        assert stricter["crossover"] is None or stricter["crossover"] >= row["crossover"]


def test_a_stricter_answer_does_not_replace_the_stored_one(study: Path) -> None:
    sql = "SELECT crossover FROM crossovers WHERE definition = 'point' ORDER BY ALL"
    ask("crossover", "made", "--results", study)
    stored = query(study, sql).to_dicts()
    ask("crossover", "made", "--definition", "best_so_far", "--results", study)
    assert query(study, sql).to_dicts() == stored
    assert query(study, "SELECT count(*) FROM crossovers").item() == 2 * len(stored)


def test_an_answer_to_another_question_is_not_stored(study: Path) -> None:
    ask("crossover", "made", "--over", "seeds", "--results", study)
    ask("crossover", "made", "--baseline", "ar", "--results", study)
    assert query(study, "SELECT count(*) FROM crossovers").item() == 0


@pytest.mark.parametrize("command", ["crossover", "difference", "outcomes", "effective-data"])
def test_every_table_says_what_its_intervals_run_over(
    results: Path, make_run: MakeRun, command: str
) -> None:
    for unique, level in ((12_800, 3.2), (32_000, 2.0)):
        overrides = [f"data.unique_tokens={unique}"]
        make_crossing_seeds(make_run, 150 + unique // 1000, level=level, overrides=overrides)
    make_run("late", {20: 9.0}, state="interrupted", overrides=["data.seed=9", "training.seed=9"])
    ingest(results)
    arguments = [command, "made", "--results", str(results)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    lines = done.stderr.splitlines()
    assert len(lines) == len(set(lines))
    (intervals,) = (line for line in lines if line.startswith("Intervals: "))
    assert "3 seeds and 24 documents (crossed)" in intervals
    narrow = CliRunner().invoke(app, [*arguments, "--over", "seeds"], catch_exceptions=False)
    assert "over 3 seeds" in narrow.stderr
    assert "documents (crossed)" not in narrow.stderr
    if command == "crossover":
        assert "leaves zero for good (band)." in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["crossover", "made", "--against", "unique_tokens"],
        ["crossover", "made", "--axis", "flops_per_unique"],
        ["effective-data", "made"],
        ["overfitting", "made"],
        ["overfitting", "made", "--against", "unique_tokens"],
        ["next", "made"],
        ["flops", "--study", "made"],
        ["flops", "--size", "1B", "--generate", "16,4096"],
        ["flops", "--size", "1B"],
        ["advise", "--unique-tokens", "1e8", "--compute", "1e20"],
        ["plan", "quickstart", "--bracket"],
    ],
)
def test_every_answer_is_a_table_csv_and_strict_json(study: Path, arguments: list[str]) -> None:
    for form in ("table", "csv"):
        assert ask(*arguments, "--results", study, "--format", form).strip()
    text = ask(*arguments, "--results", study, "--format", "json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in JSON")

    assert json.loads(text, parse_constant=refuse)


def test_generation_flops_hold_the_keys_of_the_contract(tmp_path: Path) -> None:
    rows = ask_json("flops", "--size", "1B", "--generate", "16,4096", "--results", tmp_path)
    assert [row["tokens"] for row in rows] == [16, 4096]
    for row in rows:
        assert set(row) >= {"tokens", "steps", "ar_flops", "diffusion_flops", "ratio"}


def test_a_plan_with_bracket_keeps_its_contract(study: Path) -> None:
    document = json.loads(
        ask("plan", "quickstart", "--bracket", "--results", study, "--format", "json")
    )
    assert {"study", "runs", "total_tokens", "total_train_flops", "bracket"} <= set(document)
    assert {row["verdict"] for row in document["bracket"]} <= {"likely", "uncertain", "unlikely"}
    for row in document["bracket"]:
        assert row["evidence"]["used"] in {s["kind"] for s in row["evidence"]["sources"]}


@pytest.mark.parametrize(
    "arguments",
    [
        ["advise", "--unique-tokens", "12800", "--compute", "1e12"],
        ["plan", "quickstart", "--bracket"],
        ["next", "made"],
    ],
)
def test_advice_says_which_source_it_is_by_and_what_others_say(
    study: Path, arguments: list[str]
) -> None:
    """The study crosses at its unique tokens, far from those of the shipped curves."""
    done = CliRunner().invoke(app, [*arguments, "--results", str(study)], catch_exceptions=False)
    text = done.stderr
    assert "Used: measured crossovers (" in text
    assert "pairs of curves of made" in text
    assert "Also: the published law (" in text
    assert "disagree by a factor of" in text
    assert "published without an interval" in text


@pytest.mark.slow
def test_a_study_of_many_runs_gets_advice_with_intervals(results: Path) -> None:
    import numpy as np
    import polars as pl

    from workbench.laws.law import Rows
    from workbench.laws.registry import LAWS

    law = LAWS["chinchilla"]
    rng = np.random.default_rng(0)
    rows = []
    for objective, b in (("ar", 2085.0), ("mdlm", 2600.0)):
        n, d = (
            grid.ravel()
            for grid in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5))
        )
        values = {**law.published, "B": b}
        loss = law.predict(values, Rows.of(n, d, d)) * np.exp(rng.normal(0, 0.003, len(n)))  # type: ignore[union-attr]
        for i in range(len(n)):
            rows.append((objective, int(n[i]), int(d[i]), "val_loss", int(d[i]), loss[i]))
    columns = ["objective", "n_params", "unique_tokens", "metric", "total_tokens", "value"]
    pl.DataFrame(rows, schema=columns, orient="row").write_csv(results.parent / "t.csv")
    import_runs(results.parent / "t.csv", "grid", results)
    document = json.loads(
        ask(
            "advise", "--study", "grid", "--law", "chinchilla", "--unique-tokens", "1e10",
            "--compute", "1e20", "--results", results, "--format", "json",
        )
    )  # fmt: skip
    assert document["choice"] == "ar"
    assert document["confidence"] > 0.9
    assert all(option["loss_ci95"] for option in document["options"])


def test_fits_of_a_study_are_stored_for_sql(results: Path) -> None:
    import_runs("reference", None, results)
    fixed = "E=1.0,A=400,alpha=0.34,beta=0.36"
    (ar, mdlm) = ask_json(
        "fit", "--study", "reference", "--law", "chinchilla", "--fixed", fixed,
        "--resamples", "50", "--results", results,
    )  # fmt: skip
    assert (ar["objective_name"], mdlm["objective_name"]) == ("ar", "mdlm")
    stored = query(results, "SELECT law, objective FROM fits ORDER BY objective").rows()
    assert stored == [("chinchilla", "ar"), ("chinchilla", "mdlm")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["crossover", "mad"], "did you mean 'made'"),
        (["crossover", "made", "--metric", "val_los"], "did you mean 'val_loss'"),
        (["crossover", "made", "--definition", "best"], "best_so_far"),
        (["crossover", "made", "--against", "qualty"], "unique_tokens"),
        (["effective-data", "made", "--at", "first"], "Known: last, best"),
        (["overfitting", "made", "--metric", "cloze_acc"], "cloze_acc"),
        (["flops"], "--size"),
        (["flops", "--size", "1B", "--study", "made"], "one of"),
        (["flops", "--size", "1b"], "did you mean '1B'"),
        (["flops", "--size", "1B", "--generate", "many"], "whole numbers"),
        (["advise", "--unique-tokens", "1e8", "--compute", "1"], "too little"),
        (["advise", "--unique-tokens", "1e8", "--compute", "1e20", "--study", "x"], "no study x"),
        (["fit", "--law", "chinchilla"], "--table"),
        (["fit", "--study", "made", "--law", "nope"], "no such law"),
        (["next", "nope"], "no study nope. "),
        (["report", "made", "--renew"], "for Markdown"),
        (["report", "made", "--renew", "--out", "nowhere.md"], "--renew nowhere.md"),
        (["import", "nowhere.csv", "--study", "x"], "nowhere.csv"),
        (["import", "nowhere.csv"], "study"),
        (["import", "reference", "--column", "x"], "name=value"),
    ],
)
def test_wrong_arguments_are_named(study: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(app, [*arguments, "--results", str(study)], catch_exceptions=False)


@pytest.mark.parametrize("command", ["effective-data", "difference"])
def test_last_and_final_are_one_word_and_answers_keep_their_own(study: Path, command: str) -> None:
    last, final = (ask_json(command, "made", "--at", at, "--results", study) for at in AT)
    assert last == final
    assert {row["at"] for row in last} == {"final" if command == "effective-data" else "last"}


def test_laws_take_runs_at_their_last_value_by_either_word(results: Path) -> None:
    import_runs("reference", None, results)
    fixed = "E=1.0,A=400,alpha=0.34,beta=0.36"
    asked: list[str | Path] = [
        "fit", "reference", "--law", "chinchilla", "--resamples", "0", "--fixed", fixed,
        "--results", results,
    ]  # fmt: skip
    last, final = (ask_json(*asked, "--at", at) for at in AT)
    assert last == final
