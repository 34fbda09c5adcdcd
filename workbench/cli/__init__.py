"""The command line. Each command is a thin function; what it needs is imported when it runs."""

# The order of the help: what is done first stands first.
from workbench.cli import (  # noqa: F401, I001
    starting,
    planning,
    training,
    following,
    controlling,
    checking,
    evaluating,
    sampling,
    storing,
    exporting,
    answering,
    curves,
    crossovers,
    outcomes,
    effects,
    tuning,
    drawing,
    laws,
    forecasting,
    auditing,
    viewing,
)
from workbench.cli.root import app, main

__all__ = ["app", "main"]
