"""One run on disk: its folder, lock, records and provenance, and the studies that list it."""
