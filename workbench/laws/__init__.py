"""Scaling laws: a module each, and an entry in `registry.LAWS`."""
