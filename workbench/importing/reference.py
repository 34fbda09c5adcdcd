"""The curves that the workbench ships."""

from pathlib import Path

NAME = "reference"
QUESTION = "When does diffusion overtake AR, in the published curves?"
SOURCE = "arXiv:2511.03276, Figure 1"
ORIGIN = f"{SOURCE}, digitised: 48 points a curve, tick-fit residual under 0.01 axis units"


def reference_file() -> Path:
    """The shipped table: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parent.parent
    installed = package / "reference"
    folder = installed if installed.is_dir() else package.parent / "results" / "reference"
    return folder / "superdata_fig1.csv"
