"""Trained models, loaded: the one module here that imports torch."""

from pathlib import Path

from workbench.runs.studies import find_run
from workbench.training.trained_model import RunModel, load_run_model


def load_model(results: Path, run: str, *, step: int | None, device: str, dtype: str) -> RunModel:
    """The model of a run: see `Results.load_model`."""
    return load_run_model(find_run(results, run), device=device, step=step, dtype=dtype)
