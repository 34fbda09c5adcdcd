"""The store's schema, with a comment on every column: what `workbench sql --schema` shows."""

from dataclasses import dataclass

from workbench.metrics import higher_is_better_sql
from workbench.runs.folder import STATES

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    name: str
    comment: str
    columns: tuple[Column, ...]

    @property
    def ddl(self) -> str:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in self.columns)
        return f"CREATE TABLE {self.name} ({columns})"


def _table(name: str, comment: str, *columns: tuple[str, str, str]) -> Table:
    return Table(name, comment, tuple(Column(*column) for column in columns))


RUNS = _table(
    "runs",
    "One row a run. NULL where a key does not apply to the run's objective.",
    ("run_id", "VARCHAR", "hash of the resolved configuration and the data"),
    ("objective", "VARCHAR", "training objective as recipes name it, or as an import does"),
    (
        "n_params",
        "BIGINT",
        "all parameters, vocabulary padding included; of a member of an ensemble",
    ),
    ("n_params_non_embedding", "BIGINT", "parameters outside embedding and output layer"),
    ("unique_tokens", "BIGINT", "distinct training tokens"),
    ("total_tokens", "BIGINT", "training tokens planned, repeats counted"),
    ("epochs", "DOUBLE", "total_tokens / unique_tokens"),
    ("steps", "BIGINT", "optimizer steps planned"),
    ("train_flops", "DOUBLE", "training FLOPs planned"),
    ("seed", "BIGINT", "seed of initial weights, order and noise"),
    ("data_seed", "BIGINT", "seed that draws the unique windows"),
    ("size", "VARCHAR", "named model size"),
    ("corpus", "VARCHAR", "where the text came from"),
    ("seq_len", "BIGINT", "tokens a window"),
    ("batch_size", "BIGINT", "sequences a step"),
    ("lr", "DOUBLE", "peak learning rate"),
    ("weight_decay", "DOUBLE", "AdamW weight decay"),
    ("noise_schedule", "VARCHAR", "of diffusion: the level of noise over time"),
    ("loss_weighting", "VARCHAR", "of diffusion: elbo_t, elbo_realized, maskgit or clamped"),
    ("quality", "VARCHAR", "quality tier of the data"),
    ("input_mask", "DOUBLE", "AR: share of input tokens masked in training"),
    ("dropout", "DOUBLE", "dropout probability"),
    ("config", "JSON", "the whole resolved configuration"),
    ("provenance", "JSON", "revision, versions, host, command line"),
    ("data_fingerprint", "VARCHAR", "hash of the prepared tokens"),
    ("parent", "VARCHAR", "run that this one extends to more tokens"),
    ("state", "VARCHAR", ", ".join(STATES)),
    ("attempts", "BIGINT", "times that training was started"),
    ("steps_done", "BIGINT", "optimizer steps done so far"),
    ("error", "VARCHAR", "why it failed"),
    ("imported", "BOOLEAN", "whether its numbers were imported, or are those of an ensemble"),
    ("protocol", "BIGINT", "how it was evaluated: numbers of two protocols are not comparable"),
)

METRICS = _table(
    "metrics",
    "One row a number measured in a run.",
    ("run_id", "VARCHAR", "the run"),
    ("step", "BIGINT", "optimizer steps done, from 1; NULL where an import tells none"),
    ("tokens", "BIGINT", "training tokens seen, repeats counted"),
    ("epoch", "DOUBLE", "tokens / unique_tokens"),
    ("flops", "DOUBLE", "training FLOPs spent; NULL where an import tells none"),
    ("metric", "VARCHAR", "what was measured: val_loss, cloze_acc, ..."),
    ("value", "DOUBLE", "the number; losses in nats a token; NULL where it was not finite"),
    ("stderr", "DOUBLE", "standard error of the value"),
    ("n", "BIGINT", "windows or questions averaged"),
    ("estimator", "VARCHAR", "how it was estimated: a nelbo bounds what an nll measures"),
    ("draws", "BIGINT", "noise draws a window or option; NULL where the number is exact"),
    ("noise_stderr", "DOUBLE", "part of the standard error that comes from noise draws"),
    ("documents", "BIGINT", "documents that the standard error is over; NULL: over items"),
)

ITEMS = _table(
    "items",
    "One row a window or question that a number is made of. Datasets of `workbench export parquet` "
    "have them; the store leaves them in the run folders, in items/*.parquet.",
    ("run_id", "VARCHAR", "the run"),
    ("step", "BIGINT", "optimizer steps done, from 1"),
    ("metric", "VARCHAR", "what was measured: sum(weight * total) / sum(weight * count)"),
    ("estimator", "VARCHAR", "how it was estimated"),
    ("draws", "INTEGER", "noise draws a window or option; NULL where the number is exact"),
    ("item", "INTEGER", "the window or question, the same one in every run of equal data"),
    ("document", "INTEGER", "the document that it comes from"),
    ("total", "FLOAT", "nats of a window, summed over its tokens; 1 of a right answer"),
    ("count", "FLOAT", "what the total is summed over: tokens of a window, 1 of a question"),
    ("weight", "FLOAT", "how often the item counts"),
    ("noise_variance", "FLOAT", "variance of the total that comes from noise draws"),
)

FORECASTS = _table(
    "forecasts",
    "What was expected of runs and crossovers before they were trained, one row each.",
    ("forecast", "VARCHAR", "the first digits of its document's digest: forecasts/STUDY/*.json"),
    ("study", "VARCHAR", "name of the study"),
    ("made", "VARCHAR", "when, in ISO 8601"),
    ("kind", "VARCHAR", "run: a loss; crossover: training tokens"),
    ("run_id", "VARCHAR", "the run; NULL for a crossover"),
    ("objective", "VARCHAR", "the run's, or the challenger of a crossover"),
    ("n_params", "BIGINT", "parameters"),
    ("unique_tokens", "BIGINT", "distinct training tokens"),
    ("total_tokens", "BIGINT", "training tokens planned, repeats counted"),
    ("metric", "VARCHAR", "what is forecast"),
    ("expected", "DOUBLE", "the median; NULL where nothing is known, or no crossover is expected"),
    ("low", "DOUBLE", "lower end of the 95 % interval; NULL: none"),
    ("high", "DOUBLE", "upper end of the 95 % interval; NULL: none"),
    ("source", "VARCHAR", "what it was worked out from"),
    ("after_the_fact", "BOOLEAN", "whether there were records already: never scored"),
    ("problem", "VARCHAR", "why the document is not scored, such as a changed one"),
)

TABLES: tuple[Table, ...] = (
    _table(
        "studies",
        "One row a study.",
        ("study", "VARCHAR", "name"),
        ("question", "VARCHAR", "what the study asks"),
        ("source", "VARCHAR", "the claim's origin"),
        ("compare", "JSON", "how its runs are paired"),
        ("recipe", "VARCHAR", "text of the recipe that was run last"),
    ),
    _table(
        "study_runs",
        "Which runs belong to which study; studies share runs.",
        ("study", "VARCHAR", "name of the study"),
        ("run_id", "VARCHAR", "the run"),
    ),
    RUNS,
    METRICS,
    _table(
        "fits",
        "Fitted scaling laws.",
        ("study", "VARCHAR", "name of the study"),
        ("law", "VARCHAR", "name of the law"),
        ("objective", "VARCHAR", "objective fitted, NULL for a joint fit"),
        ("result", "JSON", "parameters, intervals, diagnostics"),
    ),
    _table(
        "crossovers",
        "Crossovers computed last, one row a group, metric, axis and definition.",
        ("study", "VARCHAR", "name of the study"),
        ("metric", "VARCHAR", "metric compared"),
        ("axis", "VARCHAR", "tokens, epochs, flops or flops_per_unique"),
        ("unique_tokens", "BIGINT", "unique tokens of the group"),
        ("n_params", "BIGINT", "parameters of the group"),
        ("status", "VARCHAR", "crossed, not_reached, ahead_throughout or undecided"),
        ("crossover", "DOUBLE", "where, NULL unless crossed"),
        ("last_x", "DOUBLE", "the last place compared"),
        ("result", "JSON", "the whole answer"),
        ("definition", "VARCHAR", "what counts as a crossover: band, point or best_so_far"),
    ),
    _table(
        "backtests",
        "How well laws, and predictors without a law, predicted the runs that they were not fitted "
        "to: computed last.",
        ("study", "VARCHAR", "name of the study, or of several"),
        ("along", "VARCHAR", "size, unique_tokens, epochs, compute, or conditions"),
        ("train", "VARCHAR", "which runs were fitted"),
        ("objective", "VARCHAR", "objective predicted"),
        ("predictor", "VARCHAR", "name of the law, or of the predictor without one"),
        ("result", "JSON", "error, bias, coverage, and the held-out runs"),
    ),
    FORECASTS,
    _table(
        "ingested",
        "Which file of each run the store has read.",
        ("run_id", "VARCHAR", "the run"),
        ("source", "VARCHAR", "file read and its size and time"),
    ),
    _table("schema_version", "Version of this schema.", ("version", "BIGINT", "version")),
)

# Change a view's comment with its definition, or when a table or column is added: stores that were
# made before are known by it.
VIEWS: dict[str, tuple[str, str]] = {
    "curves": (
        "Every number with its run, and all estimates of it: the table to plot from. NULL where it "
        "was not finite.",
        """SELECT m.*, r.objective, r.n_params, r.unique_tokens, r.total_tokens, r.seed, r.size,
                  r.state, r.protocol
           FROM metrics m JOIN runs r USING (run_id)""",
    ),
    "final": (
        "The last value of each metric of each run, of the most noise draws.",
        """SELECT * FROM curves WHERE value IS NOT NULL
           QUALIFY row_number() OVER (
               PARTITION BY run_id, metric
               ORDER BY tokens DESC, step DESC, draws DESC NULLS LAST, n DESC, estimator
           ) = 1""",
    ),
    "best": (
        "The best value of each metric of each run, in its better direction, and where the run "
        "reached it.",
        f"""SELECT * FROM curves WHERE value IS NOT NULL
           QUALIFY row_number() OVER (
               PARTITION BY run_id, metric
               ORDER BY if({higher_is_better_sql("metric")}, -value, value), tokens, step
           ) = 1""",
    ),
}


def create_statements() -> list[str]:
    """The SQL statements that make an empty store."""
    statements = [statement for table in TABLES for statement in _table_statements(table)]
    statements += view_statements()
    statements.append(f"INSERT INTO schema_version VALUES ({SCHEMA_VERSION})")
    return statements


def _table_statements(table: Table) -> list[str]:
    columns = [
        f"COMMENT ON COLUMN {table.name}.\"{column.name}\" IS '{_quoted(column.comment)}'"
        for column in table.columns
    ]
    return [table.ddl, f"COMMENT ON TABLE {table.name} IS '{_quoted(table.comment)}'", *columns]


_BEFORE = {
    ("runs", "protocol"): "CASE WHEN NOT coalesce(imported, false) THEN 1 END",
    ("crossovers", "definition"): "coalesce(json_extract_string(result, '$.definition'), 'point')",
}


def before_added(table: str, column: Column) -> str:
    """The SQL expression of what rows mean that were written before a column was added."""
    return _BEFORE.get((table, column.name), f"NULL::{column.type}")


def column_statements(present: set[tuple[str, str]]) -> list[str]:
    """The SQL statements that add the tables and columns which a store lacks.

    Args:
        present: (table, column) of all that it has.
    """
    statements = []
    tables = {table for table, _ in present}
    for table in TABLES:
        if table.name not in tables:
            statements += _table_statements(table)
            continue
        for column in table.columns:
            if (table.name, column.name) in present:
                continue
            statements += [
                f'ALTER TABLE {table.name} ADD COLUMN "{column.name}" {column.type}',
                f"COMMENT ON COLUMN {table.name}.\"{column.name}\" IS '{_quoted(column.comment)}'",
            ]
            if (table.name, column.name) in _BEFORE:
                before = before_added(table.name, column)
                statements.append(f'UPDATE {table.name} SET "{column.name}" = {before}')
    return statements


def finite_statements() -> list[str]:
    """The SQL statements that set to NULL what earlier versions stored of NaN and infinity."""
    return [
        f'UPDATE {table.name} SET "{column.name}" = NULL WHERE NOT isfinite("{column.name}")'
        for table in TABLES
        for column in table.columns
        if column.type == "DOUBLE"
    ]


def view_statements() -> list[str]:
    """The views as they are defined now, in the place of any of before."""
    statements = []
    for name, (comment, query) in VIEWS.items():
        statements.append(f"CREATE OR REPLACE VIEW {name} AS {query}")
        statements.append(f"COMMENT ON VIEW {name} IS '{_quoted(comment)}'")
    return statements


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def schema_rows() -> list[dict[str, str]]:
    """The schema as table rows, one for each column and view."""
    rows = [
        {
            "table": table.name,
            "column": column.name,
            "type": column.type,
            "comment": column.comment,
        }
        for table in (*TABLES, ITEMS)
        if table.name not in ("ingested", "schema_version")
        for column in table.columns
    ]
    views = [
        {"table": name, "column": "(view)", "type": "", "comment": comment}
        for name, (comment, _) in VIEWS.items()
    ]
    return rows + views
