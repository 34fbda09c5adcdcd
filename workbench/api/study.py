"""One study: its runs and curves as frames, its answers, figures and report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from workbench.api.answers import Answer, Backtest, Crossovers, Difference, Forecast, Outcome, Say
from workbench.api.words import At, Axis, Definition, FitKeywords, Over, Side, Where, side_of
from workbench.arguments import public

if TYPE_CHECKING:
    import polars as pl

    from workbench.api.advising import NextRun, NextRunsForLaw
    from workbench.api.costs import BestFlops
    from workbench.api.data_answers import EffectiveData, Onsets, TextQuality
    from workbench.api.factorial import CrossoverEffect, Effect, Variant
    from workbench.api.figure import Figure
    from workbench.api.laws import Fits
    from workbench.api.tuning import BestValues
    from workbench.recipe import Recipe
    from workbench.report.answers import StudyAnswer


@public
@dataclass(frozen=True)
class Study:
    """A study of some results: `wb.Results("results").study("quickstart")`.

    Every method reads the store anew, so that a study which still trains answers with what it has.
    What is wrong is an `InputError` that says how to mend it.
    """

    name: str
    results: Path
    """The folder of runs and store, or of the dataset."""
    question: str = ""
    source: str = ""
    """Where the question comes from."""

    def runs(self, metric: str | None = None) -> "pl.DataFrame":
        """One row a run: `run_id`, `seed`, `objective`, `unique_tokens`, `n_params` and every other
        key that differs among the runs; `total_tokens`, `epochs`, `train_flops` and `state`; and of
        the metric `best`, `best_step`, `best_tokens`, `last`, `last_step` and `last_tokens`.

        Args:
            metric: by default `val_loss`, where the study has it.

        Raises:
            InputError: the study has no such metric.
        """
        from workbench.analysis.curves import load_curves, run_rows, study_metrics
        from workbench.analysis.tidy import runs_frame

        if metric is None and "val_loss" in study_metrics(self.results, self.name):
            metric = "val_loss"
        loaded = None if metric is None else load_curves(self.results, self.name, metric)
        return runs_frame(run_rows(self.results, self.name), loaded)

    def metrics(self) -> list[str]:
        """The names of what was measured, such as `val_loss` and `cloze_acc`."""
        from workbench.analysis.curves import study_metrics

        return study_metrics(self.results, self.name)

    def curves(self, *metrics: str, estimator: str | None = None) -> "pl.DataFrame":
        """One row a measurement: `run_id`, `seed`, `objective`, `unique_tokens`, `n_params` and
        every other key that differs among the runs; `metric`, `step`, `tokens` (repeats counted),
        `epoch`, `flops` (of training), `value`, `stderr`, `estimator`. Null where nothing is known.

        Losses are in nats a token, accuracies fractions. Each run's points are those of one
        estimator, the one that measured most of them.

        Args:
            metrics: `val_loss` by default.
            estimator: only points whose estimator's name contains this text.

        Raises:
            InputError: the study has no such metric or estimator.
        """
        from workbench.analysis.curves import load_curves
        from workbench.analysis.tidy import curves_frame

        return curves_frame(
            [
                load_curves(self.results, self.name, metric, estimator=estimator)
                for metric in metrics or ("val_loss",)
            ]
        )

    def answer(self, metric: str | None = None) -> "StudyAnswer":
        """What the study has found in one sentence, with its caveats.

        Args:
            metric: by default the held-out loss, or what was evaluated first.

        Raises:
            InputError: the study has no such metric.
        """
        from workbench.report.answers import study_answer

        return study_answer(self.results, self.name, metric)

    def crossovers(
        self,
        metric: str = "val_loss",
        axis: Axis = "tokens",
        *,
        definition: Definition | None = None,
        over: Over = "seeds+documents",
        baseline: Side | None = None,
        challenger: Side | None = None,
        save: bool = False,
    ) -> Crossovers:
        """Where the challenger overtakes the baseline and stays ahead, one row a group of runs.

        Args:
            axis: what places are measured along.
            definition: `band`, the smoothed lead and its uncertainty; `point`, point by point;
                `best_so_far`, the baseline as if stopped in time. By default `band`, and `point`
                for imported curves.
            over: what the intervals run over.
            baseline, challenger: by default what the recipe compares.
            save: whether the store keeps the answer, as the command does.

        Raises:
            InputError: no such metric, axis or side, or no two runs make a pair.
        """
        from workbench.analysis.bounds import bound_note
        from workbench.analysis.crossover import crossovers
        from workbench.analysis.interval_notes import definition_notes, notes_of
        from workbench.api.answers import Crossover
        from workbench.api.saving import saved
        from workbench.store import keep_crossovers

        sides = side_of("--baseline", baseline), side_of("--challenger", challenger)
        rows = crossovers(
            self.results, self.name, metric, axis, *sides, definition=definition, over=over
        )
        notes = [*definition_notes(rows), *notes_of(rows), _bound(bound_note(rows))]
        if save and over == "seeds+documents" and sides == (None, None):
            notes.insert(0, saved(keep_crossovers, self.results, rows))
        return Crossovers.of(Crossover, rows, notes)

    def outcomes(
        self, metric: str = "val_loss", *, over: Over = "seeds+documents"
    ) -> Answer[Outcome]:
        """The best and the last value of each configuration over its seeds, one row each.

        Raises:
            InputError: the study has no such metric.
        """
        from workbench.analysis.outcomes import outcome_notes, outcomes

        rows = outcomes(self.results, self.name, metric, over=over)
        return Answer.of(Outcome, rows, outcome_notes(rows))

    def text_quality(self, *, where: Where | None = None) -> "Answer[TextQuality]":
        """How good the texts of the study's runs are by denoising steps and length, and what they
        cost, as `workbench eval --tasks text` has measured them: one row a configuration and way to
        make them, and one for held-out text.

        Args:
            where: only runs that meet these conditions.

        Raises:
            InputError: no texts were measured, or no run meets the conditions.
        """
        from workbench.analysis.interval_notes import notes_of
        from workbench.analysis.text_quality import MEASURES, text_notes, text_quality
        from workbench.api.data_answers import TextQuality
        from workbench.api.words import conditions

        rows = text_quality(self.results, self.name, conditions(where))
        numbers = [row[name] for row in rows for name in MEASURES if row[name]]
        notes = [*notes_of(numbers), *text_notes(rows)]
        return Answer.of(TextQuality, rows, notes)

    def difference(
        self,
        metric: str = "val_loss",
        at: At = "last",
        *,
        estimator: str | None = None,
        baseline: Side | None = None,
        challenger: Side | None = None,
        over: Over = "seeds+documents",
    ) -> Answer[Difference]:
        """How far the challenger is ahead, in the metric's unit, one row a pair of configurations.

        Args:
            at: each run's last or best value.
            estimator: only values of estimators named so, such as `questions=2000`.
            baseline, challenger: by default what the recipe compares.

        Raises:
            InputError: no such metric, estimator or side, or no two runs make a pair.
        """
        from workbench.analysis.bounds import bound_note
        from workbench.analysis.difference import differences
        from workbench.analysis.interval_notes import notes_of

        rows = differences(
            self.results, self.name, metric, at, estimator=estimator, over=over,
            baseline=side_of("--baseline", baseline),
            challenger=side_of("--challenger", challenger),
        )  # fmt: skip
        used = {f"{row['estimators'][side]} ({side})" for row in rows for side in row["estimators"]}
        bound = bound_note(rows, "value")
        notes = [*notes_of(rows), f"Note: values by {', '.join(sorted(used))}."]
        return Answer.of(Difference, rows, [*notes, _bound(bound)])

    def effects(
        self,
        metric: str = "val_loss",
        at: At = "best",
        *,
        reference: Mapping[str, Any] | str | None = None,
        over: Over = "seeds+documents",
        where: Where | None = None,
    ) -> "Answer[Effect]":
        """What each value of each factor of the study changes with all else equal, and what two
        factors change beyond the sum of both.

        Args:
            at: each run's last or best value.
            reference: the values that others are compared with, such as "model.dropout = 0"; by
                default those of the study's baseline, then of a run without the key.
            over: what the intervals run over.

        Raises:
            InputError: no such metric or reference, or no two runs differ in one factor alone.
        """
        from workbench.api.factorial import effects

        return effects(self, metric, at, reference, over, where, each=False)

    def variants(
        self,
        metric: str = "val_loss",
        at: At = "best",
        *,
        reference: Mapping[str, Any] | str | None = None,
        over: Over = "seeds+documents",
        where: Where | None = None,
    ) -> "Answer[Variant]":
        """Each configuration against the one that has the reference of every factor, those of few
        training FLOPs first.

        Args:
            at: each run's last or best value.
            reference: as `effects` takes it.
            over: what the intervals run over.

        Raises:
            InputError: no such metric or reference, or no run has all references together.
        """
        from workbench.api.factorial import effects

        return effects(self, metric, at, reference, over, where, each=True)

    def crossover_effects(
        self,
        metric: str = "val_loss",
        axis: Axis = "tokens",
        *,
        baseline: Side | None = None,
        challenger: Side | None = None,
        reference: Mapping[str, Any] | str | None = None,
        where: Where | None = None,
    ) -> "Answer[CrossoverEffect]":
        """By which factor each value of each key moves the crossover.

        Args:
            baseline, challenger: by default what the recipe compares.
            reference: as `effects` takes it.

        Raises:
            InputError: no such metric, side or reference, or no two crossovers differ in one factor
                alone.
        """
        from workbench.api.factorial import crossover_effects

        return crossover_effects(self, metric, axis, baseline, challenger, reference, where)

    def effective_data(
        self, metric: str = "val_loss", at: At = "best", *, over: Over = "seeds+documents"
    ) -> "Answer[EffectiveData]":
        """How many unique tokens the baseline needs to be as good as the challenger, one row a
        configuration of the challenger.

        Args:
            at: each run's last or best value.
            over: what the intervals run over.

        Raises:
            InputError: no such metric, or no runs that share all keys but the unique tokens.
        """
        from workbench.analysis.effective_data import effective_data
        from workbench.analysis.interval_notes import notes_of
        from workbench.api.data_answers import EffectiveData

        rows = effective_data(self.results, self.name, metric, at, over=over)
        notes = [*notes_of(rows), *(row["note"] and f"Note: {row['note']}." for row in rows)]
        return Answer.of(EffectiveData, rows, notes)

    def best_values(
        self,
        key: str = "training.lr",
        metric: str = "val_loss",
        at: At = "last",
        *,
        along: Sequence[str] = (),
        over: Over = "seeds+documents",
        where: Where | None = None,
    ) -> "BestValues":
        """Which value of a tuned key is best, and what others cost, one row for each objective and
        group of equal other keys; with `.laws()`.

        Args:
            key: dotted, or the last part of it.
            at: each run's last or best value.
            along: keys that are tuned too: at each value of the key, the best of theirs is taken.
            over: what the intervals run over.
            where: only runs that meet these conditions.

        Raises:
            InputError: no such metric or key, or no runs that differ in the key alone.
        """
        from workbench.analysis.best_values import best_values
        from workbench.analysis.interval_notes import notes_of
        from workbench.api.tuning import BestValue, BestValues
        from workbench.api.words import conditions

        found = best_values(
            self.results, self.name, key, metric, at, along=along, over=over,
            where=conditions(where),
        )  # fmt: skip
        rows = [one.row for one in found]
        notes = [*notes_of(rows), *(row["note"] and f"Note: {row['note']}." for row in rows)]
        answer = BestValues.of(BestValue, rows, notes)
        return replace(answer, found=tuple(found))

    def overfitting(self, metric: str = "val_loss") -> "Onsets":
        """The epoch of the lowest loss of each configuration, after which it rises; with
        `.trends(against)`.

        Raises:
            InputError: no such loss, or runs without epochs.
        """
        from workbench.analysis.overfitting import overfitting_onset
        from workbench.api.data_answers import Onset, Onsets

        return Onsets.of(Onset, overfitting_onset(self.results, self.name, metric))

    def flops(self, metric: str = "val_loss") -> "Answer[BestFlops]":
        """The training FLOPs that the best values took, one row a pair of configurations.

        Raises:
            InputError: no such metric, no pairs, or runs whose FLOPs are not known.
        """
        from workbench.analysis.cost import flops_to_best
        from workbench.api.costs import BestFlops

        return Answer.of(BestFlops, flops_to_best(self.results, self.name, metric))

    def next_runs(self, metric: str = "val_loss", axis: Axis = "tokens") -> "Answer[NextRun]":
        """Which runs would sharpen the crossovers, the one that tells most for its FLOPs first.

        Raises:
            InputError: no such metric or axis, or no run would.
        """
        from workbench.api.advising import next_runs

        return next_runs(self.results, self.name, metric, axis)

    def next_runs_for_law(
        self, metric: str = "val_loss", budget: float | None = None
    ) -> "NextRunsForLaw":
        """Which untrained runs of the study's recipe a law's predictions gain most from.

        Args:
            budget: FLOPs of all of them; by default what the recipe's runs cost.

        Raises:
            InputError: no such loss, or the budget does not pay for runs that a law can be fitted
                to.
        """
        from workbench.api.advising import next_runs_for_law

        return next_runs_for_law(self.results, self.name, metric, budget)

    def fit(
        self,
        law: str = "data_constrained",
        *,
        metric: str = "val_loss",
        at: Literal["last", "best", "final", "curve"] = "last",
        where: Where | None = None,
        save: bool = False,
        **options: Unpack[FitKeywords],
    ) -> "Fits":
        """A scaling law fitted to the runs, with `.predict(...)`; `all` is a tournament of laws.

        Args:
            law: its name, such as `data_constrained` or `chinchilla`.
            metric: the loss, or of `loss_to_accuracy` an accuracy.
            at: each run's last or best value, or every point of its curve.
            where: only runs that meet these conditions.
            save: whether the store keeps the answer, as the command does.
            options: those of `wb.fit_table`, such as `fixed` and `resamples`.

        Raises:
            InputError: no such law, option or metric, or too few runs for the law.
        """
        from workbench.api.laws import fit_studies

        return fit_studies(
            self.results, [self.name], law, metric=metric, at=at, where=where, save=save, **options
        )

    def backtest(
        self,
        law: str = "all",
        *,
        train: Where | None = None,
        along: str = "all",
        metric: str = "val_loss",
        at: At = "last",
        where: Where | None = None,
        cluster: str | None = None,
        starts: int = 32,
        seed: int = 0,
        progress: Say | None = None,
        save: bool = False,
    ) -> Backtest:
        """Laws fitted to the smaller runs, against the larger ones: one row a law and split.

        Args:
            law: one law's name, or all that predict losses.
            train: conditions on the runs that are fitted; without them, splits along `along`:
                `size`, `unique_tokens`, `epochs`, `compute`, or all of these.
            where: only runs that meet these conditions.
            cluster: the column whose equal rows share their noise.
            progress: called with what is being fitted, such as `print`.
            save: whether the store keeps the answer, as the command does.

        Raises:
            InputError: no such law, metric or column, or no law can be fitted.
        """
        from workbench.api.backtesting import backtest_studies

        return backtest_studies(
            self.results, [self.name], law, train=train, along=along, metric=metric, at=at,
            where=where, cluster=cluster, starts=starts, seed=seed, progress=progress, save=save,
        )  # fmt: skip

    def forecast(
        self,
        recipe: "str | Path | Mapping[str, Any] | Recipe",
        *,
        law: str = "best",
        metric: str = "val_loss",
        progress: Say | None = None,
    ) -> Forecast:
        """What this study's runs let one expect of a recipe's runs, before those are trained.

        `wb.forecast(..., record=True)` puts a forecast on record, to be scored later.

        Raises:
            InputError: the recipe is wrong, or no such law or metric.
        """
        from workbench.api.planning import forecast

        return forecast(
            recipe, self.results, studies=[self.name], law=law, metric=metric, progress=progress
        )

    def figure(self, kind: str = "curves", **options: Any) -> "Figure":
        """A figure of the study, with its `chart` (Altair) and its `data` (Polars).

        Args:
            kind: a name of `workbench.figures.FIGURES` that is drawn of a study: curves, crossover,
                crossover_trend, onset, effective_data, best_value, loss_against_accuracy, nll_gap,
                paper_arrangement, put_together, backtest, training_flops, map, key, parallel,
                studies, law_compute, forecasts.
            options: of that figure, such as `metric=` and `axis=`; and of print: `width`
                ("column", "page" or inches), `font_size` (points), `font`, `title` (whether it has
                one) and `labels` ("direct" or "legend").

        Raises:
            InputError: no such figure or option, or nothing to draw.
        """
        from workbench.api.drawing import study_figure

        return study_figure(self, kind, options)

    def report(self, out: str | Path, *, metrics: Sequence[str] | None = None) -> Path:
        """Write the study as one HTML file that opens without a network, or as Markdown; the
        file's path.

        Args:
            out: a name that ends in .html or .md.
            metrics: all by default.

        Raises:
            InputError: no such metric, or the name ends otherwise.
            WorkbenchError: the file cannot be written.
        """
        from workbench.report.markdown import write_markdown
        from workbench.report.write import write_report

        path, chosen = Path(out), None if metrics is None else list(metrics)
        if path.suffix == ".md":
            write_markdown(self.results, [self.name], path, metrics=chosen)
            return path
        return write_report(self.results, self.name, path, metrics=chosen)

    def status(self) -> "pl.DataFrame":
        """How far each run is, one row each, as `workbench status` shows it.

        Raises:
            InputError: the results are a dataset, which has no run folders.
        """
        from workbench.api.following import status

        return status(self.results, self.name)


def _bound(note: str | None) -> str | None:
    return note and f"Note: {note}"
