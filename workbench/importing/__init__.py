"""Curves that were made elsewhere, as run folders that compare like trained ones."""
