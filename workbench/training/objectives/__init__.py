"""Training objectives: a module each, and an entry in `recipe/objectives.py`."""
