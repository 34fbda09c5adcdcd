"""What this package adds to workbench. Nothing here imports torch: plans and fits need none."""

from workbench.recipe.declarations import LawPlugin
from workbench.recipe.objectives import ObjectiveFacts, ObjectivePlugin

ARDM = ObjectivePlugin(
    numbers=1,  # raise it when the code gives other numbers: runs then have other ids
    facts=ObjectiveFacts(
        name="ardm",
        display_name="order-agnostic diffusion",
        implementation="workbench_example.ardm:OrderAgnostic",
        attention="bidirectional",
        # Keys of a recipe that this objective reads and some other does not: its noise draws.
        keys=tuple(
            f"evaluation.{key}"
            for key in ("validation_draws", "validation_draws_last", "cloze_draws", "task_draws")
        ),
        estimator="nelbo",
        bound=True,
        # Its models predict any masked tokens from all others, as those of `mdlm` do.
        samplers=("ancestral", "confidence", "ancestral-blocks", "blocks"),
        decoder="by-confidence",
    ),
)

EPOCH_POWER = LawPlugin(numbers=1, code="workbench_example.epoch_power:LAW")
