"""`[tracking]`: trackers that show a run's numbers while it trains. No part of a run's identity."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from workbench.errors import InputError
from workbench.recipe.types import PATTERNS, Table, Text

TRACKERS = {
    "tensorboard": "workbench.tracking.tensorboard",
    "wandb": "workbench.tracking.weights_and_biases",
    "trackio": "workbench.tracking.trackio_local",
}
"""Each kind, and the module whose class `Tracker` it is."""


class TrackingConfig(Table):
    """`[tracking]`, or `[[tracking]]` for several: where a run's numbers are shown while it trains.
    Keys of services are no part of a recipe: they are environment variables."""

    kind: Literal["tensorboard", "wandb", "trackio"] = Field(
        description="tensorboard needs nothing more; the others are extras of the same name."
    )
    project: Annotated[str, Field(pattern=PATTERNS["study"])] = Field(
        "workbench", description="Project that runs are shown in. TensorBoard has none."
    )
    entity: Text | None = Field(None, description="W&B: user or team. Default: the user's own.")
    mode: Literal["online", "offline"] | None = Field(
        None,
        description="W&B: offline for `wandb sync` later. Default: by WANDB_MODE, else online.",
    )
    folder: Text | None = Field(
        None,
        description="Where files are written. Default: `tensorboard` in the results folder, and "
        "the results folder itself for W&B.",
    )


def check_trackers(trackers: Iterable[TrackingConfig], origin: str) -> None:
    """Refuse trackers that would be in each other's way: W&B and trackio show one run of a process,
    and event files of a second writer make those of the first in the same folder void.

    Raises:
        InputError: it names the tables, and what can be done.
    """
    seen: dict[str, int] = {}
    for number, one in enumerate(trackers, 1):
        by_folder = one.kind == "tensorboard"
        first = seen.setdefault(
            f"{one.kind} {Path(one.folder or '-') if by_folder else ''}", number
        )
        if first != number:
            raise InputError(
                f"{origin}: tables {first} and {number} of [[tracking]] are both {one.kind}"
                f"{' of one folder' if by_folder else ''}, which shows a run once. Remove one"
                f"{', or give it another `folder`' if by_folder else ''}."
            )
