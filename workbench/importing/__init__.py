"""Importing curves of other software as run folders, which compare like trained runs."""
