"""A declarative workbench for scaling studies of autoregressive against diffusion language models."""

__version__ = "0.1.0"
