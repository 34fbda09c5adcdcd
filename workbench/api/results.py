"""Results: a folder of runs and store, a dataset at a URL, or the studies that ship."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from workbench.api.answers import Backtest
from workbench.api.study import Study
from workbench.api.words import BacktestKeywords, FitStudiesKeywords
from workbench.arguments import public
from workbench.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from workbench.api.advising import Advice
    from workbench.api.laws import Fits
    from workbench.api.models import RunModel


@dataclass(frozen=True)
class Run:
    """One run: what it is, how far it is, what it measured, and where its files are."""

    run_id: str
    studies: tuple[str, ...]
    state: str
    step: int | None
    steps: int | None
    keys: dict[str, Any] = field(repr=False)
    """What it was trained with, by dotted key."""
    values: "pl.DataFrame" = field(repr=False)
    """A row a metric: its last and its best value, with the steps and tokens of both."""
    files: dict[str, Path] = field(repr=False)
    """Where what is: folder, config, records, log, checkpoint, ...; empty in a dataset."""
    error: str | None = None
    """Why it failed."""
    about: dict[str, Any] = field(default_factory=dict, repr=False)
    """All of that, as `workbench show` prints it as JSON."""

    @property
    def log(self) -> Path | None:
        """The file that training writes what it does into; None in a dataset."""
        return self.files.get("log")


@public
class Results:
    """What was trained, evaluated and imported: `wb.Results("results")`.

    Args:
        place: a results folder, the folder or URL (`s3://...`) of a dataset that `workbench export
            parquet` wrote, or `shipped` for the studies that come with the workbench. Of a URL,
            what changed since is fetched now, and not again: make another for what is newer.

    Raises:
        InputError, WorkbenchError: the URL has no dataset, or cannot be reached.
    """

    def __init__(self, place: str | Path = "results") -> None:
        from workbench.store.source import source_folder

        self.place = str(place)
        self.folder = source_folder(place)
        """Where it is read on this machine."""

    def __repr__(self) -> str:
        return f"Results({self.place!r})"

    def studies(self) -> "pl.DataFrame":
        """One row a study: `study`, `question`, `source`, `runs` and how many are `finished`.

        Raises:
            InputError: there are no results yet.
        """
        return self.sql(
            """SELECT s.study, any_value(question) AS question, any_value(source) AS source,
                      count(r.run_id) AS runs,
                      count(*) FILTER (r.state = 'finished' OR r.imported) AS finished
               FROM studies s LEFT JOIN study_runs USING (study) LEFT JOIN runs r USING (run_id)
               GROUP BY s.study ORDER BY s.study"""
        )

    def study(self, name: str) -> Study:
        """The study of this name.

        Raises:
            InputError: there is none; the message lists those there are.
        """
        from workbench.store.studies import study_head

        head = study_head(self.folder, name)
        return Study(name, self.folder, head["question"] or "", head["source"] or "")

    def sql(self, query: str) -> "pl.DataFrame":
        """The answer to one SELECT; tables and columns are those of `workbench sql --schema`.

        Raises:
            InputError: the SQL is wrong, or is no question; or there are no results yet.
        """
        from workbench.store import query as ask

        return ask(self.folder, query)

    def status(self) -> "pl.DataFrame":
        """How far each run is, one row a study and run, as `workbench status` shows it.

        Raises:
            InputError: no such folder, or the results are a dataset, which has no run folders.
        """
        from workbench.api.following import status

        return status(self.folder)

    def run(self, run: str) -> Run:
        """The run of an id, or of the beginning of one.

        Raises:
            InputError: no run, or several, are called so.
        """
        import polars as pl

        from workbench.analysis.one_run import about_run

        about = about_run(self.folder, run)
        return Run(
            run_id=about["run_id"],
            studies=tuple(about["studies"]),
            state=about["state"],
            step=about["step"],
            steps=about["steps"],
            keys=about["keys"],
            values=pl.DataFrame(about["values"], infer_schema_length=None),
            files={name: Path(path) for name, path in about["files"].items()},
            error=about["error"],
            about=about,
        )

    def differences(self, run: str, other: str) -> "pl.DataFrame":
        """What differs between two runs: `what`, a key or a metric's last value, and a column each.

        Args:
            run, other: ids, or the beginnings of them.

        Raises:
            InputError: no run, or several, are called so.
        """
        import polars as pl

        from workbench.analysis.one_run import differences
        from workbench.messages import json_text

        rows = differences(self.run(run).about, self.run(other).about)
        texts = [
            {k: v if isinstance(v, str) or v is None else json_text(v) for k, v in row.items()}
            for row in rows
        ]
        return pl.DataFrame(texts, infer_schema_length=None)

    def fit(
        self,
        studies: Sequence[str],
        law: str = "data_constrained",
        **options: Unpack[FitStudiesKeywords],
    ) -> "Fits":
        """A scaling law fitted to the runs of several studies, together: see `Study.fit`."""
        from workbench.api.laws import fit_studies

        return fit_studies(self.folder, studies, law, **options)

    def backtest(
        self, studies: Sequence[str], law: str = "all", **options: Unpack[BacktestKeywords]
    ) -> Backtest:
        """Laws fitted to the smaller runs of several studies, against the larger ones: see
        `Study.backtest`."""
        from workbench.api.backtesting import backtest_studies

        return backtest_studies(self.folder, studies, law, **options)

    def advise(
        self,
        unique_tokens: float,
        compute: float,
        *,
        study: str | None = None,
        params_max: float | None = None,
        law: str = "data_constrained",
        fixed: Mapping[str, float] | None = None,
        metric: str = "val_loss",
    ) -> "Advice":
        """Which objective, size and epochs promise the lowest loss: one row an objective, and
        `.choice`.

        Args:
            unique_tokens: distinct training tokens at hand.
            compute: training FLOPs at hand, as 6 N D.
            study: size and epochs by laws fitted to its runs; by default by published laws.
            params_max: the largest model allowed.
            law: of a study, the law to fit to each objective.
            fixed: of a study, parameter -> the value that it has.

        Raises:
            InputError: no such study or law, or too little compute for the smallest model.
        """
        from workbench.api.advising import advise

        return advise(
            self.folder, float(unique_tokens), float(compute), study=study,
            params_max=params_max, law=law, fixed=fixed or {}, metric=metric,
        )  # fmt: skip

    def load_model(
        self,
        run: str,
        *,
        step: int | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        dtype: Literal["auto", "float32", "bfloat16"] = "float32",
        weights: Literal["raw", "ema", "stable"] = "raw",
    ) -> "RunModel":
        """A trained model: `model(tokens)` [B, L] gives logits [B, L, V]. Imports torch.

        Args:
            run: an id, or the beginning of one.
            step: which checkpoint; the newest by default.
            device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
            dtype: `float32`, `bfloat16`, or `auto`.
            weights: `raw`, or an average of them: `ema` (training.ema) or `stable`
                (training.average).

        Raises:
            InputError: no such run, checkpoint or average, an imported run, or a dataset.
        """
        from workbench.runs.studies import find_run
        from workbench.store.parquet.layout import is_dataset

        if is_dataset(self.folder):
            raise InputError(
                f"{self.place} has what runs measured, and no weights: a model is loaded from the "
                "results folder that it was trained in. `workbench run` trains a recipe."
            )
        found = find_run(self.folder, run)  # before the seconds that torch takes
        from workbench.api.models import load_run_model

        return load_run_model(found, step=step, device=device, dtype=dtype, weights=weights)
