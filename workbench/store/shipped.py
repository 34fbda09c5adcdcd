"""The studies that the workbench ships: a dataset, as `workbench.store.publish` writes it."""

from pathlib import Path


def shipped_studies() -> Path:
    """The dataset's folder: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "shipped"
    return installed if installed.is_dir() else package.parent / "results" / "shipped"
