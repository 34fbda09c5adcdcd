"""Tasks on held-out text, scored by likelihood."""
