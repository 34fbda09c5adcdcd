"""Results: a folder of runs and store, a dataset at a URL, or the studies that ship."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.api.answers import Backtest
from workbench.api.study import Study

if TYPE_CHECKING:
    import polars as pl

    from workbench.api.laws import Fits
    from workbench.api.models import RunModel


@dataclass(frozen=True)
class Run:
    """One run: what it is, how far it is, and where its files are."""

    run_id: str
    studies: tuple[str, ...]
    state: str
    seed: int | None
    objective: str | None
    keys: dict[str, Any] = field(repr=False)
    """Its configuration with dotted keys, and `n_params`."""
    values: dict[str, float] = field(repr=False)
    """The last value of each metric."""
    folder: Path | None
    """None in a dataset, which has no run folders."""
    error: str | None = None
    """Why it failed."""

    @property
    def log(self) -> Path | None:
        """The file that training writes what it does into; None in a dataset."""
        from workbench.runs.folder import RunFolder

        return None if self.folder is None else RunFolder(self.folder).log_path


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
        from workbench.analysis.curves import run_keys
        from workbench.runs.studies import chosen_run
        from workbench.store.query import literal

        known = self.sql("SELECT run_id FROM runs ORDER BY run_id")["run_id"].to_list()
        run_id = chosen_run(known, run, self.folder)
        where = f"WHERE run_id = {literal(run_id)}"
        row = self.sql(f"SELECT * FROM runs {where}").row(0, named=True)
        studies = self.sql(f"SELECT study FROM study_runs {where} ORDER BY study")["study"]
        last = self.sql(f"SELECT metric, value FROM final {where} ORDER BY metric")
        folder = self.folder / "runs" / run_id
        return Run(
            run_id=run_id,
            studies=tuple(studies.to_list()),
            state=row["state"],
            seed=row["seed"],
            objective=row["objective"],
            keys=run_keys(row),
            values=dict(last.iter_rows()),
            folder=folder if folder.is_dir() else None,
            error=row["error"],
        )

    def differences(self, *runs: str) -> "pl.DataFrame":
        """What differs between runs: one row a key, a column a run.

        Args:
            runs: two ids or more, or the beginnings of them.

        Raises:
            InputError: fewer than two runs, or one that is not there.
        """
        import polars as pl

        from workbench.analysis.config_diff import configuration_diff
        from workbench.messages import json_text

        rows = configuration_diff(self.folder, [self.run(run).run_id for run in runs])
        texts = [
            {k: v if isinstance(v, str) or v is None else json_text(v) for k, v in row.items()}
            for row in rows
        ]
        return pl.DataFrame(texts, infer_schema_length=None)

    def fit(self, studies: Sequence[str], law: str = "data_constrained", **options: Any) -> "Fits":
        """A scaling law fitted to the runs of several studies, together: see `Study.fit`."""
        from workbench.api.laws import fit_studies

        return fit_studies(self.folder, studies, law, **options)

    def backtest(self, studies: Sequence[str], law: str = "all", **options: Any) -> Backtest:
        """Laws fitted to the smaller runs of several studies, against the larger ones: see
        `Study.backtest`."""
        from workbench.api.laws import backtest_studies

        return backtest_studies(self.folder, studies, law, **options)

    def load_model(
        self, run: str, *, step: int | None = None, device: str = "auto", dtype: str = "float32"
    ) -> "RunModel":
        """A trained model: `model(tokens)` [B, L] gives logits [B, L, V]. Imports torch.

        Args:
            run: an id, or the beginning of one.
            step: which checkpoint; the newest by default.
            device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
            dtype: `float32`, `bfloat16`, or `auto`.

        Raises:
            InputError: no such run or checkpoint, or the run is imported.
        """
        from workbench.runs.studies import find_run

        found = find_run(self.folder, run)  # before the seconds that torch takes
        from workbench.api.models import load_run_model

        return load_run_model(found, step=step, device=device, dtype=dtype)
