"""Scaling studies of autoregressive against diffusion language models, from recipes."""

__version__ = "0.1.0"
