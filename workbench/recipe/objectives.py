"""Every training objective and what the rest of the workbench has to know of it.

The one table of objectives: checks of a recipe, FLOPs, memory, figures, imports, samplers and
decoders read it. It imports no torch; the objective itself, the torch code that corrupts and
weighs tokens, is the class that `implementation` names. A new objective is an entry of `_BUILT_IN`
and that one module; or a plug-in (`recipe.plugins`), which brings both.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Literal, Protocol

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.declarations import Plugin
from workbench.recipe.plugins import Installed, Plugins, Registry

_ATTENTIONS = ("causal", "bidirectional", "mask a batch", "mask a sequence")


class ObjectiveKeys(Protocol):
    """The keys of `[training]` that decide what an objective passes through the network."""

    @property
    def noise_samples(self) -> int | None: ...
    @property
    def mask_aux_weight(self) -> float | None: ...
    @property
    def block_size(self) -> int | None: ...


@dataclass(frozen=True, kw_only=True)
class ObjectiveFacts:
    """What is known of an objective without torch."""

    name: str
    """As `training.objective` has it."""
    display_name: str
    """As figures and reports call it."""
    implementation: str
    """"module:Class" of its `Objective`, imported only where it trains or is evaluated."""
    keys: tuple[str, ...] = ()
    """Keys of a recipe that it reads and some other objective does not."""
    attention: Literal["causal", "bidirectional", "mask a batch", "mask a sequence"]
    """What an input attends to: all before it, all, or what a mask says, of which there is one for
    all sequences of a batch or one for each."""
    streams: Literal[1, 2] = 1
    """Inputs a token: with 2 the network reads 2L inputs, and predicts at the first L."""
    clean_copy: bool = False
    """Whether a step also passes each sequence once without noise, where `mask_aux_weight` asks
    for it."""
    whole_distribution: bool = False
    """Whether the loss at a place depends on the probabilities of all tokens, and not on the right
    one's alone."""
    estimator: str
    """Of the held-out loss: stored beside every value."""
    bound: bool
    """Whether the held-out loss is an upper bound of the negative log-likelihood, or exact."""
    samplers: tuple[str, ...] = ()
    """Samplers of its models (`generation.samplers`), the default first."""
    decoder: str | None = None
    """How windows' ends are decoded greedily (`evaluation.decoding`); None: they are not."""
    aliases: tuple[str, ...] = ()
    """What imported tables call it."""

    def __post_init__(self) -> None:
        """Refuse facts that would change a network or its costs without a word.

        Raises:
            ValueError: an attention, a number of streams or an implementation that cannot be.
        """
        allowed = {"attention": _ATTENTIONS, "streams": (1, 2)}
        for field_name, values in allowed.items():
            value = getattr(self, field_name)
            if value not in values:
                expected = ", ".join(map(repr, values))
                raise ValueError(
                    f"{field_name} = {value!r} of the objective {self.name}: expected {expected}."
                )
        if self.implementation.count(":") != 1:
            raise ValueError(
                f"implementation = {self.implementation!r} of the objective {self.name}: expected "
                '"package.module:Class".'
            )

    @property
    def causal(self) -> bool:
        """Whether the network's own attention is causal, where no mask says more."""
        return self.attention == "causal"

    @property
    def masked_attention(self) -> bool:
        """Whether its attention follows a mask that is a tensor."""
        return self.attention.startswith("mask")

    def presentations(self, training: ObjectiveKeys) -> int:
        """How often a step passes each sequence of its batch through the network."""
        clean = 1 if self.clean_copy and training.mask_aux_weight else 0
        return clean + (training.noise_samples or 1)

    def attended(self, training: ObjectiveKeys, length: int) -> float:
        """The mean number of inputs that each input attends to, in sequences of `length` tokens.

        Causal attention counts as L/2, after the paper's accounting. With two streams and a mask,
        a noisy token sees its block of S and on average (L - S) / 2 clean tokens, a clean one
        (L + S) / 2 clean tokens: (L + S) / 2 for either, and L/2 for queries and contents of
        random orders.
        """
        if self.attention == "bidirectional":
            return length
        return (length + (training.block_size or 0)) / 2

    def is_bound(self, training: ObjectiveKeys) -> bool:
        """Whether a run's held-out loss is a bound: nothing is random in a block of one token."""
        return self.bound and training.block_size != 1

    def estimator_of(self, training: ObjectiveKeys) -> str:
        """The estimator of a run's held-out loss."""
        return "nll" if self.bound and not self.is_bound(training) else self.estimator


_DRAWS = tuple(
    f"evaluation.{key}"
    for key in ("validation_draws", "validation_draws_last", "cloze_draws", "task_draws")
)
_NOISE = ("training.noise_schedule", "training.loss_weighting")
_MODULES = "workbench.training.objectives"

BASELINE, CHALLENGER = "ar", "mdlm"
"""The pair that the paper compares (arXiv 2511.03276), and that a study compares by default."""

_BUILT_IN: dict[str, ObjectiveFacts] = {
    facts.name: facts
    for facts in (
        ObjectiveFacts(
            name="ar",
            display_name="AR",
            implementation=f"{_MODULES}.ar:Autoregressive",
            keys=("training.input_mask", "training.mask_aux_weight"),
            attention="causal",
            clean_copy=True,
            estimator="nll",
            bound=False,
            samplers=("ar",),
            decoder="left-to-right",
            aliases=("autoregressive", "gpt"),
        ),
        ObjectiveFacts(
            name="mdlm",
            display_name="masked diffusion",
            implementation=f"{_MODULES}.mdlm:MaskedDiffusion",
            keys=(*_NOISE, *_DRAWS),
            attention="bidirectional",
            # Exactly k of L tokens masked, k stratified over a window's draws and the windows:
            # the expectation of equation 3, with less variance.
            estimator="nelbo",
            bound=True,
            samplers=("ancestral", "ancestral-blocks", "confidence", "blocks"),
            decoder="by-confidence",
            aliases=("diffusion", "dlm", "difflm", "mdm", "masked_diffusion"),
        ),
        ObjectiveFacts(
            name="block",
            display_name="block diffusion",
            implementation=f"{_MODULES}.block:BlockDiffusion",
            keys=(*_NOISE, *_DRAWS, "training.block_size"),
            attention="mask a batch",
            streams=2,
            estimator="nelbo",
            bound=True,
            samplers=("ancestral-blocks", "blocks"),
            decoder="block-by-block",
        ),
        ObjectiveFacts(
            name="uniform",
            display_name="uniform diffusion",
            implementation=f"{_MODULES}.uniform:UniformDiffusion",
            keys=(*_NOISE, *_DRAWS),
            attention="bidirectional",
            whole_distribution=True,
            estimator="nelbo",
            bound=True,
            samplers=("ancestral",),
        ),
        ObjectiveFacts(
            name="hybrid",
            display_name="hybrid diffusion",
            implementation=f"{_MODULES}.hybrid:HybridDiffusion",
            keys=(*_NOISE, *_DRAWS, "training.uniform_noise"),
            attention="bidirectional",
            whole_distribution=True,
            estimator="nelbo",
            bound=True,
            samplers=("ancestral",),
        ),
        ObjectiveFacts(
            name="aoar",
            display_name="any-order AR",
            implementation=f"{_MODULES}.aoar:AnyOrder",
            keys=_DRAWS,
            attention="mask a sequence",
            streams=2,
            estimator="nelbo/orders",
            bound=True,
            samplers=("random-order", "left-to-right"),
            decoder="surest-order",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class ObjectivePlugin(Plugin):
    """An objective that another package adds. The code is its `Objective`, whose `facts` are
    these."""

    code: str = field(init=False, default="")
    facts: ObjectiveFacts

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", self.facts.implementation)
        super().__post_init__()


def _of_plugin(plugin: Installed, declaration: ObjectivePlugin) -> ObjectiveFacts:
    facts = declaration.facts
    known = _keys_read_by_some()
    if facts.name != plugin.name or not set(facts.keys) <= known:
        raise InputError(
            f"the objective {plugin.name} ({plugin}) cannot be used: its facts must have its name "
            f"and keys among {', '.join(sorted(known))}."
        )
    return facts


OBJECTIVE_PLUGINS = Plugins("objectives", ObjectivePlugin, built_in=tuple(_BUILT_IN))
OBJECTIVES: Registry[ObjectiveFacts, ObjectivePlugin] = Registry(
    _BUILT_IN, OBJECTIVE_PLUGINS, _of_plugin
)


def objective_facts(name: str) -> ObjectiveFacts:
    """The facts of an objective.

    Raises:
        InputError: there is no such objective, or its plug-in cannot be used.
    """
    if name not in OBJECTIVES:
        raise InputError(
            f'there is no objective "{name}"{suggestion(name, OBJECTIVES) or "."} '
            f"Objectives: {', '.join(OBJECTIVES)}."
        )
    return OBJECTIVES[name]


def display_name(objective: str) -> str:
    """An objective as figures call it; the name itself of one that is known from imports alone."""
    facts = OBJECTIVES.get(objective)
    return facts.display_name if facts else objective


def foreign_keys(objective: str | None) -> frozenset[str]:
    """Keys that some objectives read and this one does not: they leave its configuration, so that
    runs which differ in them alone are one. Nothing is known of an
    objective that was imported, or whose plug-in cannot be used here."""
    facts = OBJECTIVES.get(objective) if objective else None
    return _keys_read_by_some() - set(facts.keys) if facts else frozenset()


def keys_of_some_objectives() -> frozenset[str]:
    """Keys that are foreign to at least one objective."""
    return frozenset(key for name in _BUILT_IN for key in foreign_keys(name))


def objectives_reading(key: str) -> str:
    """The built-in objectives that read a key, for descriptions: "mdlm, block"."""
    return ", ".join(name for name, facts in _BUILT_IN.items() if key in facts.keys)


@cache
def _keys_read_by_some() -> frozenset[str]:
    """Keys that only some of the built-in objectives read. Those that a plug-in reads are among
    them: no package that is installed changes which keys leave a run's configuration."""
    return frozenset(key for facts in _BUILT_IN.values() for key in facts.keys)
