"""The hybrid of masked and uniform diffusion (GIDD, arXiv 2503.04482): noise masks a token or puts
a random one in its place, so that a model also learns to doubt what it sees.

`uniform_noise` is the share of random tokens at level 1/2 of the noise, where it is most
(`training.noise.mask_and_drawn`); at the highest level all tokens are masked. Everything else is as
under uniform-state diffusion. With a share of 0 it is masked diffusion, to the bit.
"""

from typing import Any

from workbench.recipe import TrainingConfig, objective_facts
from workbench.training.noise import mask_and_drawn
from workbench.training.objectives.base import Vocab
from workbench.training.objectives.mdlm import MaskedDiffusion, noise_settings
from workbench.training.objectives.uniform import UniformDiffusion


class HybridDiffusion(UniformDiffusion):
    """Denoising of tokens of which some are masked and some are random."""

    facts = objective_facts("hybrid")

    def __init__(self, vocab: Vocab, *, uniform_noise: float, **noise: Any) -> None:
        """Args:
        uniform_noise: above 0 and below 1.
        """
        super().__init__(vocab, **noise)
        self.marginals = mask_and_drawn(uniform_noise)
        self.power = 4.0  # random tokens come with the root of the time

    @classmethod
    def from_config(cls, training: TrainingConfig, vocab: Vocab) -> MaskedDiffusion:
        noise = noise_settings(training)
        if not training.uniform_noise:
            return MasksAlone(vocab, **noise)
        return cls(vocab, uniform_noise=training.uniform_noise, **noise)


class MasksAlone(MaskedDiffusion):
    """The hybrid without random tokens."""

    facts = HybridDiffusion.facts
