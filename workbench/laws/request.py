"""The law, the table and the options of a fit, from what a user gave."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.laws.fitting.accuracy_table import ACCURACY, accuracy_table
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.read_table import read_table
from workbench.laws.fitting.study_table import study_table
from workbench.laws.law import Law, Procedure
from workbench.laws.registry import LAWS
from workbench.messages import suggestion

SECOND_STEP = "loss_to_accuracy"
"""The law that reads a loss, and predicts an accuracy."""


def get_law(name: str) -> Law | Procedure:
    """The law or procedure of this name.

    Raises:
        InputError: there is no such law.
    """
    if name not in LAWS:
        raise InputError(
            f"--law {name}: no such law{suggestion(name, LAWS) or '.'} "
            f"Laws: {', '.join(LAWS)}, or all."
        )
    return LAWS[name]


def get_table(
    table: Path | None,
    study: str | Sequence[str] | None,
    results: Path,
    metric: str,
    at: str,
    columns: dict[str, str],
    law: str,
    where: Conditions = (),
    units: Mapping[str, float] | None = None,
) -> LossTable:
    """The losses to fit, from a file or from one or several studies.

    For `loss_to_accuracy` each loss comes with an accuracy, the metric: a file's column of its
    name, or measured at the same point of a run.

    Raises:
        InputError: neither or both of a table and a study are given, or it cannot be read.
    """
    if (not table) == (not study):
        raise InputError("give one of --table FILE and STUDY.")
    if table is not None:
        losses = read_table(table, columns, units).where(where)
        if law == SECOND_STEP and metric in losses.columns:
            losses.columns[ACCURACY] = losses.columns[metric]
        return losses
    assert study
    if columns or units:
        option = "--column" if columns else "--unit"
        raise InputError(f"{option} is for --table: a study's columns are known.")
    if law == SECOND_STEP:
        return accuracy_table(results, study, metric, at, where)
    # The critical compute is read from whole curves, not from their ends.
    return study_table(results, study, metric, "curve" if law == "critical_compute" else at, where)


def fit_options(
    fixed: Mapping[str, str | float],
    tied: dict[str, str],
    shared: str | None,
    *,
    joint: bool,
    two_stage: bool,
    starts: int,
    resamples: int,
    seed: int,
    cluster: str | None = None,
    delta: float | None = None,
    diagnostics: bool = True,
) -> FitOptions:
    """A fit's options, from texts as the command line gives them.

    Raises:
        InputError: a value of `fixed` is not a number.
    """
    return FitOptions(
        fixed=numbers(fixed),
        tied=tuple(tied.items()),
        shared=tuple(part.strip() for part in shared.split(",")) if shared else (),
        joint=joint,
        two_stage=two_stage,
        starts=starts,
        resamples=resamples,
        seed=seed,
        cluster=cluster,
        delta=delta,
        diagnostics=diagnostics,
    )


def numbers(given: Mapping[str, str | float], option: str = "--fixed") -> dict[str, float]:
    """Names and their numbers, from texts as an option of the command line gives them.

    Raises:
        InputError: one is not a number.
    """
    found = {}
    for name, text in given.items():
        try:
            found[name] = float(text)
        except ValueError:
            raise InputError(f"{option} {name}={text}: expected a number.") from None
    return found
