"""Training objectives: a module each, and an entry in `registry.OBJECTIVES`."""
