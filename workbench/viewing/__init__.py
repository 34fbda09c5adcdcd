"""What the pages of the app share: reading the store, choosing runs, drawing figures.

The pages are scripts in `app/`; they select what to show, and compute nothing themselves.
"""
