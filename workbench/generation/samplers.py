"""The samplers that `workbench sample --sampler` can name. A new one is a function and an entry
in `SAMPLERS`, or a plug-in (`recipe.plugins`)."""

from dataclasses import dataclass

from workbench.errors import InputError
from workbench.generation.any_order import left_to_right, random_order
from workbench.generation.autoregressive import autoregressive
from workbench.generation.diffusion import (
    ancestral,
    ancestral_blocks,
    blocks,
    by_confidence,
)
from workbench.generation.settings import Fill, Settings
from workbench.messages import suggestion
from workbench.recipe.plugins import Installed, Plugins, Registry, SamplerPlugin


@dataclass(frozen=True)
class Sampler:
    """One way to sample, and the models that can be sampled so."""

    name: str
    fill: Fill
    objectives: tuple[str, ...]
    """Training objectives whose models it samples."""
    reads: tuple[str, ...] = ()
    """Settings that only some samplers have and this one reads."""
    one_by_one: bool = False
    """Whether it asks for a single place of each text at a time."""
    numbers: int | None = None
    """Of a plug-in: goes where its samples are recorded."""

    def check(self, objective: str, settings: Settings) -> None:
        """Raises:
        InputError: the model cannot be sampled so, or a setting would have no effect.
        """
        if objective not in self.objectives:
            fitting = ", ".join(samplers_of(objective)) or "no sampler yet"
            raise InputError(
                f"--sampler {self.name}: the model was trained with the objective {objective}, "
                f"which takes {fitting}."
            )
        for setting in ("steps", "block_size"):
            if getattr(settings, setting) is not None and setting not in self.reads:
                option = "--" + setting.replace("_", "-")
                raise InputError(f"{option} has no effect on --sampler {self.name}: leave it out.")
        if objective == "block" and settings.block_size is not None:
            raise InputError(
                f"--block-size {settings.block_size}: the model was trained on blocks of its own "
                "size, and is sampled in those: leave it out."
            )


_BUILT_IN: dict[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        Sampler("ar", autoregressive, ("ar",), one_by_one=True),
        Sampler("ancestral", ancestral, ("mdlm",), ("steps",)),
        Sampler("ancestral-blocks", ancestral_blocks, ("mdlm", "block"), ("steps", "block_size")),
        Sampler("confidence", by_confidence, ("mdlm",), ("steps",)),
        Sampler("blocks", blocks, ("mdlm", "block"), ("steps", "block_size")),
        Sampler("random-order", random_order, ("aoar",), one_by_one=True),
        Sampler("left-to-right", left_to_right, ("aoar",), one_by_one=True),
    )
}


def _of_plugin(plugin: Installed, declaration: SamplerPlugin) -> Sampler:
    return Sampler(
        plugin.name,
        plugin.code(),
        declaration.objectives,
        declaration.reads,
        declaration.one_by_one,
        numbers=declaration.numbers,
    )


SAMPLER_PLUGINS = Plugins("samplers", SamplerPlugin, built_in=tuple(_BUILT_IN))
SAMPLERS: Registry[Sampler, SamplerPlugin] = Registry(_BUILT_IN, SAMPLER_PLUGINS, _of_plugin)


def samplers_of(objective: str) -> list[str]:
    """Samplers of an objective's models, the default first."""
    usable = SAMPLERS.usable().values()
    return [sampler.name for sampler in usable if objective in sampler.objectives]


def sampler_label(name: str | None) -> str:
    """A sampler as estimators name it, with a plug-in's numbers."""
    if name is None:
        return "default"
    plugin = SAMPLER_PLUGINS.declaration(name)
    return f"{name}/numbers={plugin.numbers}" if plugin else name


def choose_sampler(name: str | None, objective: str) -> Sampler:
    """A sampler by its name, or the objective's default.

    Raises:
        InputError: no such sampler, or none for this objective.
    """
    if name is None:
        fitting = samplers_of(objective)
        if not fitting:
            raise InputError(f"models of the objective {objective} cannot be sampled yet.")
        return SAMPLERS[fitting[0]]
    if name not in SAMPLERS:
        raise InputError(
            f"--sampler {name}: no such sampler{suggestion(name, SAMPLERS) or '.'} "
            f"Samplers: {', '.join(SAMPLERS)}."
        )
    return SAMPLERS[name]
