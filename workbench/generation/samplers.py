"""The samplers that `workbench sample --sampler` can name. A new one is a function, an entry in
`_BUILT_IN`, and its name in the entry of each objective whose models it samples; or a plug-in
(`recipe.plugins`)."""

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
from workbench.recipe import objective_facts
from workbench.recipe.declarations import SamplerPlugin
from workbench.recipe.plugins import Installed, Plugins, Registry


@dataclass(frozen=True)
class Sampler:
    """One way to sample, and the models that can be sampled so."""

    name: str
    fill: Fill
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
        if self.name not in samplers_of(objective):
            fitting = ", ".join(samplers_of(objective)) or "no sampler yet"
            raise InputError(
                f"--sampler {self.name}: the model was trained with the objective {objective}, "
                f"which takes {fitting}."
            )
        for setting in ("steps", "block_size"):
            if getattr(settings, setting) is not None and setting not in self.reads:
                option = "--" + setting.replace("_", "-")
                raise InputError(f"{option} has no effect on --sampler {self.name}: leave it out.")
        trained_in_blocks = "training.block_size" in objective_facts(objective).keys
        if trained_in_blocks and settings.block_size is not None:
            raise InputError(
                f"--block-size {settings.block_size}: the model was trained on blocks of its own "
                "size, and is sampled in those: leave it out."
            )


_BUILT_IN: dict[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        Sampler("ar", autoregressive, one_by_one=True),
        Sampler("ancestral", ancestral, ("steps",)),
        Sampler("ancestral-blocks", ancestral_blocks, ("steps", "block_size")),
        Sampler("confidence", by_confidence, ("steps",)),
        Sampler("blocks", blocks, ("steps", "block_size")),
        Sampler("random-order", random_order, one_by_one=True),
        Sampler("left-to-right", left_to_right, one_by_one=True),
    )
}


def _of_plugin(plugin: Installed, declaration: SamplerPlugin) -> Sampler:
    return Sampler(
        plugin.name,
        plugin.code(),
        declaration.reads,
        declaration.one_by_one,
        numbers=declaration.numbers,
    )


SAMPLER_PLUGINS = Plugins("samplers", SamplerPlugin, built_in=tuple(_BUILT_IN))
SAMPLERS: Registry[Sampler, SamplerPlugin] = Registry(_BUILT_IN, SAMPLER_PLUGINS, _of_plugin)


def samplers_of(objective: str) -> list[str]:
    """Samplers of an objective's models, the default first."""
    every = list(objective_facts(objective).samplers)
    for name in SAMPLER_PLUGINS.usable_names():
        declaration = SAMPLER_PLUGINS.declaration(name)
        if declaration and objective in declaration.objectives:
            every.append(name)
    return list(dict.fromkeys(every))


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
        name = fitting[0]
    if name not in SAMPLERS:
        raise InputError(
            f"--sampler {name}: no such sampler{suggestion(name, SAMPLERS) or '.'} "
            f"Samplers: {', '.join(SAMPLERS)}."
        )
    return SAMPLERS[name]
