"""Answers from the store: curves, crossovers, figures."""
