"""The command line. Each command is a thin function; what it needs is imported when it runs."""

# The order of the help: what is done first stands first.
from workbench.cli import training, extending, storing, exporting, crossovers, laws  # noqa: F401, I001
from workbench.cli.root import app, main

__all__ = ["app", "main"]
