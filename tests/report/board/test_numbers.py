"""What an export's author worked out is shown where it is of the very curves of the export."""

import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.made_runs import MakeRun, make_crossing_seeds
from tests.report.board.made_exports import rewritten
from workbench.analysis.crossover import crossovers
from workbench.report.board.exports import Export
from workbench.report.board.numbers import _stored, crossovers_of
from workbench.report.board.runs import runs_of
from workbench.store import ingest, keep_crossovers
from workbench.store.publish import publish_studies


def on_the_board(export: Path) -> tuple[dict[str, Any], frozenset[str]]:
    """The crossover along tokens, and the axes along which it is the author's."""
    one = Export("one", export)
    (number,) = crossovers_of(one, "made", runs_of(one))
    return number.rows["tokens"], number.by_author


def with_answers(export: Path, *answers: Any) -> None:
    """Put these in the place of the author's answers."""
    texts = pl.Series([json.dumps(answer) for answer in answers])
    rewritten(
        export, "crossovers",
        lambda rows: pl.concat([rows[:1]] * len(answers)).with_columns(result=texts),
    )  # fmt: skip


@pytest.mark.long
def test_an_answer_from_documents_is_taken_where_its_curves_are_those_exported(
    make_run: MakeRun, results: Path, tmp_path: Path
) -> None:
    make_crossing_seeds(make_run, 150, documents=8)
    ingest(results)
    (of_author,) = crossovers(results, "made", "val_loss", "tokens")
    assert (of_author["definition"], of_author["status"]) == ("band", "crossed")
    keep_crossovers(results, [of_author])
    export = tmp_path / "export"
    publish_studies(results, str(export), ["made"])
    shown, by_author = on_the_board(export)
    assert by_author == {"tokens"}
    assert (shown["crossover"], shown["ci95"]) == (of_author["crossover"], of_author["ci95"])

    stored = json.loads(json.dumps(of_author))
    other_curves = {"all_crossings": [2 * place for place in stored["all_crossings"]]}
    with_answers(export, stored | other_curves)
    shown, by_author = on_the_board(export)
    assert shown["definition"] == "point"
    assert not by_author
    no_answers = (
        {"ci95": ["<b>", 1]}, {"ci95": [math.nan, 1.0]}, {"ci95": 5}, {"status": "won"},
        {"crossover": None}, {"crossover": "1e9"}, {"runs": 5}, {"ci95_method": {"a": 1}},
        {"definition": "point"}, {"all_crossings": None},
    )  # fmt: skip
    with_answers(export, *(stored | values for values in no_answers), [], None, "x")
    assert _stored(Export("one", export), "made", "val_loss", "tokens") == {}
