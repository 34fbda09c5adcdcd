"""The version, for every layer: also those below the package's own public names. The build reads it
here too; no run id and no number depends on it."""

__version__ = "1.0.0"
