"""From loss to accuracy: the second of two steps, the first being a law of the loss.

    accuracy = floor + gain / (1 + exp(slope (L - midpoint)))

The sigmoid that OLMo-ladder fits (Bhagia et al. 2024, arXiv:2412.04403: a / (1 + exp(-k (L - L0)))
+ b with a < 0, so b = floor + gain). Where the chance level of the questions was measured, that is
the floor.
"""

from dataclasses import replace

import numpy as np

from workbench.errors import InputError
from workbench.laws.fitting.accuracy_table import ACCURACY, CHANCE
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.fitting.result import Fit, fitted_range
from workbench.laws.law import Floats, Law, Parameter, Procedure, Rows, Terms

_LEAST_SQUARES = 1.0  # Huber's delta: only errors beyond a factor of e weigh less than squared
_NAME = "loss_to_accuracy"
_FORMULA = "accuracy = floor + gain / (1 + exp(slope (L - midpoint)))"
_CITATION = "Bhagia et al. 2024, arXiv:2412.04403 (OLMo-ladder), step 2"


def _terms(theta: Floats, rows: Rows, slopes: bool = True) -> Terms:
    """Args:
    rows: whose `log_n` is the logarithm of the loss.
    """
    floor, gain, log_k, log_m = (theta[:, i, None] for i in range(4))
    loss = np.exp(rows.log_n)
    k, m = np.exp(log_k), np.exp(log_m)
    u = k * (loss - m)
    log_terms = np.empty((*u.shape, 2))
    log_terms[..., 0] = floor
    log_terms[..., 1] = gain - np.logaddexp(0.0, u)
    if not slopes:
        return log_terms, None
    falling = np.exp(-np.logaddexp(0.0, -u))  # the sigmoid of u
    gradient = np.zeros((*u.shape, 2, 4))
    gradient[..., 0, 0] = gradient[..., 1, 1] = 1.0
    gradient[..., 1, 2] = -falling * u
    gradient[..., 1, 3] = falling * k * m
    return log_terms, gradient


SIGMOID = Law(
    name=_NAME,
    title="Loss to accuracy",
    formula=_FORMULA,
    citation=_CITATION,
    parameters=(
        Parameter("floor", 1e-4, 1.0, (0.05, 0.5), "accuracy at a high loss: chance"),
        Parameter("gain", 1e-3, 1.0, (0.1, 0.9), "what a low loss adds to it"),
        Parameter("slope", 1e-2, 1e2, (0.5, 10.0), "how sharply accuracy rises as loss falls"),
        Parameter("midpoint", 1e-2, 50.0, (0.5, 6.0), "loss at which half of it is gained"),
    ),
    terms=_terms,
    published={},
    published_for="",
    needs_unique=False,
    reads_runs=False,
)


def fit_accuracy(table: LossTable, options: FitOptions) -> list[Fit]:
    """Fit accuracies to losses by least squares of log accuracy.

    Raises:
        InputError: the table has no accuracies, or they cannot determine the sigmoid.
    """
    if ACCURACY not in table.columns:
        raise InputError(
            f"{table.source}: loss_to_accuracy reads an accuracy beside each loss: give its metric "
            "with --law loss_to_accuracy --metric, such as cloze_acc."
        )
    accuracy = _numbers(table, ACCURACY)
    if (accuracy > 1).any():
        raise InputError(
            f"{table.source}: an accuracy of {accuracy.max():g}: they are fractions, at most 1."
        )
    positive = accuracy > 0
    notes = list(table.notes)
    if not positive.all():
        notes.append(f"{(~positive).sum()} rows without an accuracy above 0 are left out")
    table, accuracy = table.take(positive), accuracy[positive]
    options, chance = _with_chance(table, options)
    # The engine reads runs: here a run's size is its loss.
    read = replace(table, n_params=table.loss, loss=accuracy, notes=(*notes, *chance))
    delta = _LEAST_SQUARES if options.delta is None else options.delta
    return [_of(fit, table) for fit in fit_law(SIGMOID, read, replace(options, delta=delta))]


def _numbers(table: LossTable, name: str) -> Floats:
    try:
        values = [np.nan if x is None else float(x) for x in table.columns[name]]
    except ValueError as error:
        raise InputError(f"{table.source}: column {name}: {error}.") from None
    return np.array(values)


def _with_chance(table: LossTable, options: FitOptions) -> tuple[FitOptions, list[str]]:
    """The options with the floor at the measured chance level, and a note on it."""
    if CHANCE not in table.columns or "floor" in options.fixed:
        return options, []
    levels = _numbers(table, CHANCE)
    if np.isnan(levels).any() or not (levels > 0).all():
        return options, ["the floor is fitted: the chance level was not measured"]
    level, spread = float(levels.mean()), float(np.ptp(levels))
    note = f"the floor is the measured chance level, {level:.4g}"
    note += f" on average over {levels.min():.4g} to {levels.max():.4g}" if spread > 0 else ""
    return replace(options, fixed={**options.fixed, "floor": level}), [note]


def _of(fit: Fit, table: LossTable) -> Fit:
    """The fit with its runs' own sizes back, and the losses that it read as its range."""
    assert fit.table is not None
    own = table.of(fit.objective_name)
    ranges = {"loss": (float(own.loss.min()), float(own.loss.max())), **fitted_range(own)}
    seen = replace(fit.table, n_params=own.n_params)
    return replace(fit, table=seen, fitted_range=ranges)


LOSS_TO_ACCURACY = Procedure(
    name=_NAME,
    title=SIGMOID.title,
    formula=_FORMULA,
    citation=_CITATION,
    fit=fit_accuracy,
    published={},
    published_for="",
    takes_options=True,
)
