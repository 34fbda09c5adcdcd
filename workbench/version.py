"""The version, for every layer: also those below the package's own public names."""

__version__ = "0.1.0"
