"""Training of one run through TorchTitan. Everything below imports torch."""

from workbench.training import titan_imports

__all__ = ["titan_imports"]
