"""The store: a DuckDB file made from run folders, and queries of it."""

from workbench.store.answers import fit_identity, keep_backtests, keep_crossovers, keep_fits
from workbench.store.connection import database_path
from workbench.store.ingest import IngestReport, ingest
from workbench.store.query import query
from workbench.store.schema import schema_rows

__all__ = [
    "IngestReport",
    "database_path",
    "fit_identity",
    "ingest",
    "keep_backtests",
    "keep_crossovers",
    "keep_fits",
    "query",
    "schema_rows",
]
