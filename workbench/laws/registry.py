"""Every scaling law by name: those built in, and those of plug-ins."""

from dataclasses import replace

from workbench.errors import InputError
from workbench.laws.chinchilla import CHINCHILLA
from workbench.laws.critical_compute import CRITICAL_COMPUTE
from workbench.laws.data_constrained import DATA_CONSTRAINED
from workbench.laws.data_constrained_geometric import DATA_CONSTRAINED_GEOMETRIC
from workbench.laws.data_constrained_penalty import DATA_CONSTRAINED_PENALTY
from workbench.laws.isoflop import ISOFLOP
from workbench.laws.law import Law, Procedure
from workbench.laws.loss_to_accuracy import LOSS_TO_ACCURACY
from workbench.laws.overfitting_penalty import OVERFITTING_PENALTY
from workbench.laws.quokka import QUOKKA
from workbench.laws.saturating import SATURATING
from workbench.recipe.declarations import LawPlugin
from workbench.recipe.plugins import Installed, Plugins, Registry

_BUILT_IN: dict[str, Law | Procedure] = {
    law.name: law
    for law in (
        CHINCHILLA,
        DATA_CONSTRAINED,
        DATA_CONSTRAINED_GEOMETRIC,
        QUOKKA,
        OVERFITTING_PENALTY,
        DATA_CONSTRAINED_PENALTY,
        SATURATING,
        ISOFLOP,
        CRITICAL_COMPUTE,
        LOSS_TO_ACCURACY,
    )
}


def _of_plugin(plugin: Installed, declaration: LawPlugin) -> Law | Procedure:
    """A plug-in's law. Fits keep the citation, and with it where the law came from."""
    law = plugin.code()
    if not isinstance(law, Law | Procedure) or law.name != plugin.name:
        raise InputError(
            f"the law {plugin.name} ({plugin}) cannot be used: {declaration.code} is no Law or "
            "Procedure of that name."
        )
    origin = f"{plugin.package} {plugin.version}, numbers = {declaration.numbers}"
    return replace(law, citation=f"{law.citation} ({origin})")


LAW_PLUGINS = Plugins("laws", LawPlugin, built_in=(*_BUILT_IN, "all"))
LAWS: Registry[Law | Procedure, LawPlugin] = Registry(_BUILT_IN, LAW_PLUGINS, _of_plugin)
