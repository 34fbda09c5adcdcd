"""`[tracking]`: trackers that show a run's numbers while it trains. No part of a run's identity."""

from typing import Annotated, Literal

from pydantic import Field

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
