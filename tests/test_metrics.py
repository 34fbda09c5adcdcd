"""Which direction of a metric is better: one answer in Python and in SQL."""

import duckdb
import pytest

from workbench.metrics import (
    METRICS,
    OLD_NAMES,
    RAW,
    higher_is_better,
    higher_is_better_sql,
    of_raw_weights,
    of_weights,
    spellings,
    unit,
)
from workbench.store.schema import VIEWS

NAMES = [
    *METRICS,
    *("val_loss@code", "cloze_acc@code", "memorised_share@code", "tokens_per_second@late"),
    *("arc_easy_acc", "arc_easy_acc_norm", "arc_easy_acc@code", "my_accuracy", "my_accuracy@code"),
    *(
        "humaneval_plus_pass@10",
        "pass@1",
        "accumulated_loss",
        "val_acc_loss",
        "pass@x",
        "perplexity",
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_sql_and_python_agree(name: str) -> None:
    answer = duckdb.execute(f"SELECT {higher_is_better_sql('m')} FROM (SELECT ? AS m)", [name])
    assert answer.fetchone() == (higher_is_better(name),)


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("tokens_per_second", 3.0),
        ("cloze_acc@code", 3.0),
        ("arc_acc@code", 3.0),
        ("val_loss", 1.0),
        ("memorised_share", 1.0),
        ("x_pass@5", 3.0),
    ],
)
def test_the_view_of_best_values_takes_the_better_direction(name: str, best: float) -> None:
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE curves (run_id TEXT, metric TEXT, value DOUBLE, tokens INT, step INT)"
    )
    connection.executemany(
        "INSERT INTO curves VALUES ('a', ?, ?, 1, 1)", [(name, v) for v in (2.0, 1.0, 3.0)]
    )
    row = connection.execute(f"SELECT value FROM ({VIEWS['best'][1]})").fetchone()
    assert row == (best,)


def test_a_metric_is_found_by_what_it_was_called() -> None:
    for old in OLD_NAMES:
        assert spellings(old) == spellings(OLD_NAMES[old])
        assert spellings(old)[0] == OLD_NAMES[old] != old
    assert spellings("mmlu_continuation_acc_norm")[0] in METRICS
    assert spellings("val_loss") == ("val_loss",)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_better_by_its_name_is_a_fraction(name: str) -> None:
    if higher_is_better(name) and name.partition("@")[0] != "tokens_per_second":
        assert unit(name) == "fraction"


def test_metrics_of_averaged_weights_are_those_of_the_weights_with_an_ending() -> None:
    for metric in ("val_loss", "cloze_acc", "val_loss@shakespeare"):
        averaged = of_weights(metric, "ema")
        assert averaged == f"{metric}@ema"
        assert of_raw_weights(averaged) == of_weights(metric, RAW) == metric
        assert higher_is_better(averaged) == higher_is_better(metric)
        assert unit(averaged) == unit(metric)
    assert of_raw_weights("val_loss@shakespeare") == "val_loss@shakespeare"
    assert of_raw_weights("their_metric@ema") == "their_metric@ema"
