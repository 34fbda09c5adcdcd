"""Answers of the API and of the commands: the same numbers, to the digit."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

import workbench as wb
from tests.made_runs import MakeRun, make_crossing_seeds, run_maker
from workbench.cli import app
from workbench.errors import InputError
from workbench.messages import json_text
from workbench.store import ingest, query

Ask = Callable[[wb.Study], wb.Answer]
LAW: dict[str, Any] = {"fixed": {"E": 1.2}, "starts": 2, "resamples": 20}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> wb.Study:
    """A study of two numbers of unique tokens, three seeds each, with values of documents."""
    results = tmp_path_factory.mktemp("api") / "results"
    make_run: MakeRun = run_maker(results)
    for unique, at in ((12_800, 100), (32_000, 220)):
        make_crossing_seeds(make_run, at, overrides=[f"data.unique_tokens={unique}"])
    ingest(results)
    return wb.Results(results).study("made")


@pytest.fixture(scope="module")
def law_study(tmp_path_factory: pytest.TempPathFactory) -> wb.Study:
    return laws_of(tmp_path_factory.mktemp("laws"))


def laws_of(folder: Path) -> wb.Study:
    """An imported study of 12 runs of each objective whose losses follow a law, nearly."""
    rows: list[tuple[Any, ...]] = []
    for objective, scale in (("ar", 400.0), ("mdlm", 500.0)):
        for n in (2e5, 4e5, 8e5):
            for unique in (1e6, 2e6, 4e6, 8e6):
                for share in (0.5, 1.0):
                    wave = 1 + 0.002 * ((7 * len(rows)) % 11 - 5)
                    loss = 1.2 + 90 / n**0.35 + scale / (share * unique) ** 0.4
                    run = (objective, int(n), int(unique), round(share * unique / 1e3))
                    rows.append((*run, int(share * unique), loss * wave))
    names = ("objective", "n_params", "unique_tokens", "step", "total_tokens", "val_loss")
    pl.DataFrame(rows, schema=names, orient="row").write_csv(folder / "law.csv")
    wb.import_curves(folder / "law.csv", "law", folder / "results")
    return wb.Results(folder / "results").study("law")


def printed(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(app, [*map(str, arguments), "--format", "json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def answered(answer: wb.Answer) -> Any:
    return json.loads(json_text(answer.document))


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        (["crossover", "made"], lambda s: s.crossovers()),
        (["crossover", "made", "--axis", "epochs", "--definition", "point", "--over", "seeds"],
         lambda s: s.crossovers(axis="epochs", definition="point", over="seeds")),
        (["crossover", "made", "--against", "unique_tokens"],
         lambda s: s.crossovers().trends("unique_tokens")),
        (["crossover", "made", "--challenger", "training.objective=ar and training.seed=1",
          "--baseline", "training.seed=0 and training.objective=ar"],
         lambda s: s.crossovers(
             baseline={"training.seed": 0, "training.objective": "ar"},
             challenger="training.objective=ar and training.seed=1")),
        (["outcomes", "made", "--over", "documents"], lambda s: s.outcomes(over="documents")),
        (["difference", "made", "--at", "best"], lambda s: s.difference(at="best")),
        (["effective-data", "made", "--at", "last", "--over", "seeds"],
         lambda s: s.effective_data(at="last", over="seeds")),
        (["effects", "made", "--at", "last", "--reference", "training.objective=mdlm"],
         lambda s: s.effects(at="last", reference={"training.objective": "mdlm"})),
        (["effects", "made", "--show", "variants", "--where", "unique_tokens = 12800"],
         lambda s: s.variants(where="unique_tokens = 12800")),
        (["overfitting", "made"], lambda s: s.overfitting()),
        (["overfitting", "made", "--against", "unique_tokens"],
         lambda s: s.overfitting().trends("unique_tokens")),
        (["flops", "made"], lambda s: s.flops()),
        (["flops", "--size", "1B", "--seq-len", "512"],
         lambda s: wb.training_flops("1B", seq_len=512)),
        (["flops", "--size", "1B", "--generate", "16,2e3", "--steps", "8", "--prompt", "4"],
         lambda s: wb.generation_flops("1B", [16, 2000], steps=8, prompt=4)),
        (["next", "made", "--axis", "epochs"], lambda s: s.next_runs(axis="epochs")),
    ],
)  # fmt: skip
def test_a_study_answers_as_its_command_does(study: wb.Study, command: list[str], ask: Ask) -> None:
    answer = ask(study)
    assert answered(answer) == printed(*command, "--results", study.results)
    assert len(answer) == len(answer.document) == answer.frame.height > 0
    assert list(answer) == [answer[place] for place in range(len(answer))]


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        (["fit", "--study", "law", "--law", "chinchilla", "--fixed", "E=1.2", "--starts", "2",
          "--resamples", "20", "--where", "n_params < 5e5"],
         lambda s: s.fit("chinchilla", where="n_params < 5e5", **LAW)),
    ],
)  # fmt: skip
def test_laws_answer_as_their_commands_do(
    law_study: wb.Study, command: list[str], ask: Ask
) -> None:
    answer = ask(law_study)
    assert answered(answer) == printed(*command, "--results", law_study.results)
    assert answer.frame.height > 0


@pytest.fixture(scope="module")
def backtest(law_study: wb.Study) -> wb.Backtest:
    return law_study.backtest("chinchilla", along="size", starts=2)


def test_a_backtest_is_that_of_its_command(law_study: wb.Study, backtest: wb.Backtest) -> None:
    options = ("--law", "chinchilla", "--along", "size", "--starts", "2")
    assert answered(backtest) == printed(
        "backtest", "law", *options, "--results", law_study.results
    )
    assert backtest.frame.height == len(backtest)


def test_advice_is_that_of_its_command(study: wb.Study) -> None:
    options = ("--unique-tokens", "1e8", "--compute", "1e19", "--params-max", "1e9")
    answer = wb.Results(study.results).advise(10**8, 10**19, params_max=1e9)
    assert answered(answer) == printed("advise", *options, "--results", study.results)
    assert [vars(option) for option in answer] == answer.document["options"]
    assert answer.choice in [option.objective for option in answer]
    assert answer.frame["objective"].to_list() == [option.objective for option in answer]
    wrong: Any
    for wrong in ({"compute": 1.0}, {"compute": float("inf")}, {"unique_tokens": float("nan")}):
        with pytest.raises(InputError, match=f"^{next(iter(wrong))} "):
            wb.Results(study.results).advise(**({"unique_tokens": 1e8, "compute": 1e19} | wrong))


def test_the_curves_command_gives_the_frame(study: wb.Study, tmp_path: Path) -> None:
    asked = ("curves", "made", "--results", study.results, "--axis", "epochs")
    assert study.curves().to_dicts() == printed(*asked, "--figure", tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")
    done = CliRunner().invoke(app, [*map(str, asked), "--format", "csv"])
    frame = pl.read_csv(done.stdout.encode(), schema=study.curves().schema)
    assert_frame_equal(frame, study.curves())


def test_sql_answers_as_its_command_does(study: wb.Study) -> None:
    sql = "SELECT run_id, metric, value FROM best ORDER BY run_id"
    frame = wb.Results(study.results).sql(sql)
    assert frame.to_dicts() == printed("sql", sql, "--results", study.results)


def test_every_row_has_all_that_the_document_has(study: wb.Study, backtest: wb.Backtest) -> None:
    answers: list[wb.Answer] = [study.crossovers(), study.outcomes(), study.difference(), backtest]
    answers += [study.effective_data(), study.overfitting(), study.flops(), study.next_runs()]
    answers += [wb.training_flops("1B"), wb.generation_flops("1B", 16)]
    for answer in answers:
        rows = answer.document["rows"] if isinstance(answer.document, dict) else answer.document
        names = {field.name for field in fields(answer[0])} | {"ci_method"}  # of old, twice there
        assert set(rows[0]) <= names
        assert all(
            getattr(row, name) == value
            for row, given in zip(answer, rows, strict=True)
            for name, value in given.items()
            if name != "ci_method"
        )


def test_a_frame_has_both_ends_of_intervals_and_the_keys_of_groups(study: wb.Study) -> None:
    answer = study.crossovers()
    for row, crossover in zip(answer.frame.to_dicts(), answer, strict=True):
        assert [row["ci95_low"], row["ci95_high"]] == crossover.ci95
        assert row["unique_tokens"] == crossover.group["unique_tokens"]
        assert row["crossover"] == crossover.crossover
    outcomes = study.outcomes()
    assert outcomes.frame["best_mean"].to_list() == [row.best["mean"] for row in outcomes]


def test_a_question_writes_nothing_unless_asked_to(study: wb.Study) -> None:
    count = "SELECT count(*) FROM crossovers WHERE metric = 'val_loss' AND axis = 'flops'"
    study.crossovers(axis="flops")
    assert query(study.results, count).item() == 0
    study.crossovers(axis="flops", save=True)
    assert query(study.results, count).item() == 2


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        (["crossover", "mode"], lambda r: r.study("mode")),
        (["crossover", "made", "--metric", "val_los"],
         lambda r: r.study("made").crossovers("val_los")),
        (["difference", "made", "--baseline", "arr"],
         lambda r: r.study("made").difference(baseline="arr")),
        (["fit", "--study", "made", "--law", "chincila"],
         lambda r: r.study("made").fit("chincila")),
        (["sql", "DROP TABLE runs"], lambda r: r.sql("DROP TABLE runs")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_stated_in_the_same_words_but_for_the_dashes_of_options(
    study: wb.Study, command: list[str], ask: Callable[[wb.Results], object]
) -> None:
    with pytest.raises(InputError) as raised:
        ask(wb.Results(study.results))
    done = CliRunner().invoke(app, [*command, "--results", str(study.results)])
    assert str(done.exception).replace("--", "") == str(raised.value)


def test_predictions_are_the_laws_and_their_band_has_what_was_measured(law_study: wb.Study) -> None:
    from workbench.laws.fitting.study_table import study_table

    fits = law_study.fit("chinchilla", **(LAW | {"resamples": 100}))
    fit = next(fit for fit in fits if fit.objective_name == "ar")
    table = study_table(law_study.results, "law").of("ar")
    found = fits.predict(table.n_params, table.total_tokens, table.unique_tokens)
    ours = [row for row in found if row.objective == "ar"]
    assert [row.loss for row in ours] == pytest.approx(fit.predicted.tolist())
    inside = [row.low <= loss <= row.high for row, loss in zip(ours, table.loss, strict=True)]
    assert sum(inside) / len(inside) > 0.85
    assert all(row.law_low <= row.loss <= row.law_high for row in ours)
    assert all(row.high - row.low > row.law_high - row.law_low > 0 for row in ours)
    assert not any(row.outside for row in ours)
    assert found.notes == ()


def test_a_prediction_says_how_far_outside_the_fitted_runs_it_lies(law_study: wb.Study) -> None:
    fits = law_study.fit("chinchilla", **LAW)
    found = fits.predict(n_params=8e6, total_tokens=[1e7, 1e7], unique_tokens=1e6)
    assert found[0].outside["n_params"] == "10 times above the largest fitted"
    assert "n_params: 10 times" in found.frame["outside"][0]
    assert len(found) == 4
    assert "lie outside the runs" in found.notes[0]
    one_epoch = fits.predict(8e5, 1e6)
    assert one_epoch[0].unique_tokens == 1e6
    assert not one_epoch[0].outside
    for n_params, tokens in ((0.0, [1e6]), ([1e5] * 3, [1e6, 2e6]), (1e5, [float("nan")])):
        with pytest.raises(InputError, match=r"n_params|total_tokens"):
            fits.predict(n_params, tokens)


def test_unknown_options_of_a_fit_and_of_a_figure_are_named(law_study: wb.Study) -> None:
    with pytest.raises(InputError, match=r"no option start, did you mean 'starts'\?"):
        law_study.fit("chinchilla", start=3)  # type: ignore[call-arg]
    with pytest.raises(InputError, match=r"no option axes, did you mean 'axis'\?"):
        law_study.figure("curves", axes="epochs")
    with pytest.raises(InputError, match=r"no figure curve, did you mean 'curves'\?"):
        law_study.figure("curve")
    with pytest.raises(InputError, match="one of ar, mdlm"):
        law_study.fit("chinchilla", **LAW).figure("contours")


def test_a_figure_for_print_is_the_same_figure_on_paper(study: wb.Study, tmp_path: Path) -> None:
    screen, column = study.figure("crossover"), study.figure("crossover", width="column")
    assert column.data.equals(screen.data)
    assert (screen.caption, bool(column.caption)) == ((), True)
    assert (screen.drawn.paper, column.drawn.paper.width) == (None, 3.25)
    assert column._repr_mimebundle_()
    assert column.save(str(tmp_path / "column.json"), with_data=True).exists()
    assert (tmp_path / "column.csv").exists()
    with pytest.raises(InputError, match="column, page, or"):
        study.figure("crossover", width="colum")
