"""What each study of an export has found, in a sentence, of the crossovers that the board has."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.report.answers import (
    at_end,
    crossover_caveats,
    crossover_sentence,
    study_answer,
)
from workbench.report.board.exports import Export
from workbench.report.board.likeness import Number
from workbench.report.sections import sentence


@dataclass(frozen=True)
class Answer:
    """A sentence, and what bounds and intervals mean in it."""

    sentence: str
    caveats: tuple[str, ...]


def answer_of(export: Export, study: str, crossovers: Sequence[Number]) -> Answer:
    """The answer by the study's first metric; without crossovers, its best configuration.

    Args:
        crossovers: the study's.
    """
    if not crossovers:
        found = study_answer(export.folder, study)
        return Answer(found.sentence, found.caveats)
    metric = crossovers[0].rows["tokens"]["metric"]
    every = [number.rows["tokens"] for number in crossovers]
    rows = [row for row in every if row["metric"] == metric]
    text = crossover_sentence(rows, at_end(export.folder, rows))
    return Answer(sentence(f"By {metric}, {text}"), tuple(crossover_caveats(rows)))
