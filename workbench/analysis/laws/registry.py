"""Every scaling law by name."""

from workbench.analysis.law import Law, Procedure
from workbench.analysis.laws.chinchilla import CHINCHILLA
from workbench.analysis.laws.critical_compute import CRITICAL_COMPUTE
from workbench.analysis.laws.data_constrained import DATA_CONSTRAINED
from workbench.analysis.laws.data_constrained_geometric import DATA_CONSTRAINED_GEOMETRIC
from workbench.analysis.laws.isoflop import ISOFLOP
from workbench.analysis.laws.quokka import QUOKKA

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
