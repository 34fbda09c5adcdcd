"""The store as a Parquet dataset: written to a folder or an object store, and read from there."""
