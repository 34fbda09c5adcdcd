"""What a recipe would train, what that costs, and what to expect of it, before anything starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.api.answers import Answer, Forecast, Forecasted, Say
from workbench.arguments import public

if TYPE_CHECKING:
    from workbench.recipe import Recipe


@dataclass(frozen=True)
class Planned(Answer[dict[str, Any]]):
    """The runs of a recipe: `frame` has a row for each, with its size, tokens, steps and FLOPs."""

    study: str = ""
    total_tokens: int = 0
    total_train_flops: float = 0.0
    estimated_seconds: float | None = None
    """Of training steps alone; None where no speed is known yet."""
    estimate_from: str | None = None


@public
def plan(
    recipe: "str | Path | Mapping[str, Any] | Recipe",
    results: str | Path = "results",
    *,
    set: Mapping[str, Any] | None = None,
    jobs: int | None = None,
) -> Planned:
    """A recipe's runs and what they cost. Writes nothing.

    Args:
        recipe: a .toml file, a shipped recipe's name, or a dictionary of tables.
        results: where speeds of earlier runs, and prepared data, are looked for.
        set: dotted key -> value, such as `{"training.lr": 1e-3}`.
        jobs: ranks at once; by default what GPUs or CPU cores hold.

    Raises:
        InputError: the recipe is wrong.
    """
    from workbench.planning.plan import estimate_time, plan_study
    from workbench.recipe import Recipe
    from workbench.running.slots import make_slots

    loaded = Recipe.load(recipe, set)
    planned = plan_study(loaded, Path(results))
    concurrent = len(make_slots(loaded.runs, jobs, loaded.launcher.local.runs_per_gpu).free)
    estimate = estimate_time(planned, Path(results), concurrent)
    rows = planned.rows()
    return Planned(
        tuple(rows),
        rows,
        tuple(f"Note: {note}" for note in planned.deferred),
        study=planned.study,
        total_tokens=planned.total_tokens,
        total_train_flops=planned.total_train_flops,
        estimated_seconds=estimate.seconds if estimate else None,
        estimate_from=estimate.source if estimate else None,
    )


@public
def forecast(
    recipe: "str | Path | Mapping[str, Any] | Recipe",
    results: str | Path = "results",
    *,
    set: Mapping[str, Any] | None = None,
    studies: Sequence[str] | None = None,
    law: str = "best",
    metric: str = "val_loss",
    record: bool = False,
    progress: Say | None = None,
) -> Forecast:
    """What is expected of a recipe's runs and crossovers before they are trained, with intervals.

    Args:
        results: the folder whose finished runs laws are fitted to.
        studies: only runs of these; by default all runs of the same kind.
        law: one law's name, or the one that backtests best.
        record: put it on record in the results folder, with its time and a digest, as the command
            does: it is scored when the runs are trained. Prepares the data, so that run ids are
            known. Without it, nothing is written.
        progress: called with what is being fitted, such as `print`.

    Raises:
        InputError: the recipe is wrong, or no such study, law or metric.
    """
    from workbench.laws.forecast import make_forecast
    from workbench.planning.plan import plan_study
    from workbench.planning.prepare import prepare_study
    from workbench.recipe import Recipe
    from workbench.runs.files import check_writable
    from workbench.runs.forecasts import read_forecasts, write_forecast

    loaded, folder = Recipe.load(recipe, set), Path(results)
    if record:
        check_writable(folder)
    planned = (prepare_study if record else plan_study)(loaded, folder)
    before = read_forecasts(folder, planned.study) if record else []
    document = make_forecast(
        loaded, planned, folder, studies=None if studies is None else list(studies), law=law,
        metric=metric, say=progress or (lambda text: None),
    )  # fmt: skip
    path = None
    if record:
        from workbench.store import ingest

        path = write_forecast(folder, planned.study, document)
        ingest(folder, run_ids=[])
    notes = [_late(document), *(_earlier(planned.study, one) for one in before)]
    notes += [f"Note: {note}." for note in document["notes"]]
    rows = [
        {"kind": kind, **row}
        for kind, of_kind in (("run", "runs"), ("crossover", "crossovers"))
        for row in document[of_kind]
    ]
    made = Forecast.of(Forecasted, rows, notes, document)
    return Forecast(made.rows, document, made.notes, path)


def _late(document: dict[str, Any]) -> str | None:
    late = sum(run["after_the_fact"] for run in document["runs"])
    if not late:
        return None
    return (
        f"Note: {late} of {len(document['runs'])} runs have records already. They are marked as "
        "after the fact, and never scored."
    )


def _earlier(study: str, one: Any) -> str:
    what = one.problem or f"made on {one.document['made']}, is the one that is scored"
    return f"Note: an earlier forecast of {study}, {one.path.name}: {what}."
