"""Every training objective by name."""

from workbench.recipe import TrainingConfig
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.ar import Autoregressive
from workbench.training.objectives.base import Objective, Vocab
from workbench.training.objectives.block import BlockDiffusion
from workbench.training.objectives.mdlm import MaskedDiffusion

OBJECTIVES: dict[str, type[Objective]] = {
    Autoregressive.name: Autoregressive,
    MaskedDiffusion.name: MaskedDiffusion,
    BlockDiffusion.name: BlockDiffusion,
    AnyOrder.name: AnyOrder,
}


def build_objective(training: TrainingConfig, vocab: Vocab) -> Objective:
    """The objective that `[training] objective` names, with its own keys read from the recipe."""
    return OBJECTIVES[training.objective].from_config(training, vocab)
