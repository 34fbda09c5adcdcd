"""Text from trained models: loading a run, and the samplers of each objective."""
