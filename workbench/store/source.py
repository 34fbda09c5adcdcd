"""Where results are read from: a folder, a dataset at a URL, or the studies that ship."""

from pathlib import Path

from workbench.store.parquet.mirror import mirrored
from workbench.store.shipped import shipped_studies


def source_folder(given: str | Path) -> Path:
    """The folder that a source is read in: a given folder itself, of a URL the copy on this
    machine, brought up to date, and of `shipped` the dataset that comes with the workbench.

    Raises:
        InputError, WorkbenchError: as `mirrored`, for a URL.
    """
    if given == "shipped":
        return shipped_studies()
    if isinstance(given, Path) or "://" not in given:
        return Path(given)
    return mirrored(given)
