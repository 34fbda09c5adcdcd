"""What this package adds to workbench. Nothing here imports torch: plans and fits need none."""
