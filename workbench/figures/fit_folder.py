"""Every figure of a set of fits, in one folder."""

from pathlib import Path

from workbench.figures.contours import contour_figure
from workbench.figures.figure import Figure, save
from workbench.figures.law_fits import (
    isoflop_figure,
    predicted_figure,
    profile_figure,
    residuals_figure,
)
from workbench.figures.paper import Paper
from workbench.laws.fitting.result import Fit
from workbench.laws.law import Law
from workbench.laws.registry import LAWS


def save_fits(fits: list[Fit], folder: Path, suffix: str, paper: Paper | None = None) -> list[str]:
    """Save every figure that the fits have, with the data behind each, into a folder.

    Returns:
        One line for each file, and for each law without figures.

    Raises:
        InputError: the suffix is unknown, or the folder cannot be written.
    """
    made: list[tuple[str, Figure]] = []
    lines: list[str] = []
    for law in dict.fromkeys(fit.law for fit in fits):
        own = [fit for fit in fits if fit.law == law]
        if law == "critical_compute":
            lines.append(f"{law} predicts no losses: no figures.")
            continue
        if law == "isoflop":
            made += [(_file(fit, "profiles"), isoflop_figure(fit)) for fit in own]
            continue
        made += [(f"{law}-predicted", predicted_figure(own))]
        made += [(f"{law}-residuals", residuals_figure(own))]
        for fit in own:
            if not isinstance(LAWS[law], Law):
                continue
            made.append((_file(fit, "contours"), contour_figure(fit)))
            if fit.profiles:
                made.append((_file(fit, "likelihood"), profile_figure(fit)))
    for name, figure in made:
        path = folder / f"{name}.{suffix}"
        written = save(figure, path, save_data=True, paper=paper)
        lines.append(f"{path}: {'; '.join(written.caption) or written.title}")
    return lines


def _file(fit: Fit, what: str) -> str:
    return "-".join(part for part in (fit.law, fit.objective_name, what) if part)
