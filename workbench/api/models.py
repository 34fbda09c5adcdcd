"""Trained models: the one module of the API that imports torch."""

from workbench.training.trained_model import RunModel, load_run_model

__all__ = ["RunModel", "load_run_model"]
