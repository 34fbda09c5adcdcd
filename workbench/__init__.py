"""Scaling studies of autoregressive against diffusion language models, from recipes.

`import workbench as wb` is all that a notebook needs: `wb.run` trains a recipe's runs, `wb.Results`
answers questions of them. Every name is imported when it is first used, so that the import itself
takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.version import __version__

if TYPE_CHECKING:
    from workbench.api.advising import (
        Advice,
        AdvisedOption,
        NextRun,
        NextRunForLaw,
        NextRunsForLaw,
    )
    from workbench.api.answers import (
        Answer,
        Backtest,
        BacktestScore,
        Crossover,
        Crossovers,
        Difference,
        Forecast,
        Forecasted,
        Outcome,
        Trends,
    )
    from workbench.api.boards import Board, board
    from workbench.api.costs import (
        BestFlops,
        GenerationFlops,
        TrainingFlops,
        generation_flops,
        training_flops,
    )
    from workbench.api.data_answers import EffectiveData, Onset, Onsets
    from workbench.api.factorial import CrossoverEffect, Effect, Variant
    from workbench.api.figure import Figure
    from workbench.api.importing import Imported, import_curves
    from workbench.api.laws import Fits, Prediction, Predictions, fit_table
    from workbench.api.planning import Planned, forecast, plan
    from workbench.api.results import Results, Run
    from workbench.api.running import run
    from workbench.api.study import Study
    from workbench.errors import InputError, WorkbenchError
    from workbench.recipe import Recipe
    from workbench.report.answers import StudyAnswer
    from workbench.running.run_report import RunReport

_PLACES = {
    "Advice": "api.advising",
    "AdvisedOption": "api.advising",
    "Answer": "api.answers",
    "Backtest": "api.answers",
    "BacktestScore": "api.answers",
    "BestFlops": "api.costs",
    "Board": "api.boards",
    "Crossover": "api.answers",
    "CrossoverEffect": "api.factorial",
    "Crossovers": "api.answers",
    "Difference": "api.answers",
    "Effect": "api.factorial",
    "EffectiveData": "api.data_answers",
    "Figure": "api.figure",
    "Fits": "api.laws",
    "Forecast": "api.answers",
    "Forecasted": "api.answers",
    "GenerationFlops": "api.costs",
    "Imported": "api.importing",
    "InputError": "errors",
    "NextRun": "api.advising",
    "NextRunForLaw": "api.advising",
    "NextRunsForLaw": "api.advising",
    "Onset": "api.data_answers",
    "Onsets": "api.data_answers",
    "Outcome": "api.answers",
    "Planned": "api.planning",
    "Prediction": "api.laws",
    "Predictions": "api.laws",
    "Recipe": "recipe",
    "Results": "api.results",
    "Run": "api.results",
    "RunReport": "running.run_report",
    "Study": "api.study",
    "StudyAnswer": "report.answers",
    "TrainingFlops": "api.costs",
    "Trends": "api.answers",
    "Variant": "api.factorial",
    "WorkbenchError": "errors",
    "board": "api.boards",
    "fit_table": "api.laws",
    "forecast": "api.planning",
    "generation_flops": "api.costs",
    "import_curves": "api.importing",
    "plan": "api.planning",
    "run": "api.running",
    "training_flops": "api.costs",
}
"""Where each public name is: what a name needs is imported with it, and nothing before."""

__all__ = [*_PLACES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    value = getattr(import_module(f"workbench.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
