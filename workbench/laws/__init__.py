"""Scaling laws: each has a module, and an entry in `registry.LAWS`."""
