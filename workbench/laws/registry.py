"""Every scaling law by name."""

from workbench.laws.chinchilla import CHINCHILLA
from workbench.laws.critical_compute import CRITICAL_COMPUTE
from workbench.laws.data_constrained import DATA_CONSTRAINED
from workbench.laws.data_constrained_geometric import DATA_CONSTRAINED_GEOMETRIC
from workbench.laws.isoflop import ISOFLOP
from workbench.laws.law import Law, Procedure
from workbench.laws.quokka import QUOKKA

LAWS: dict[str, Law | Procedure] = {
    law.name: law
    for law in (
        CHINCHILLA,
        DATA_CONSTRAINED,
        DATA_CONSTRAINED_GEOMETRIC,
        QUOKKA,
        ISOFLOP,
        CRITICAL_COMPUTE,
    )
}
