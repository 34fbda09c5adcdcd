"""Seconds that fits take, with everything that comes with them: intervals from 1,000 resamples,
profiles, held-out error and the weight of single rows.

    python benchmarks/fit_speed.py [--rows 1000000]
"""

import argparse
import time

import numpy as np
from law_recovery import TRUTH, design, noisy_table

from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.fitting.options import FitOptions
from workbench.laws.law import Law, Rows
from workbench.laws.registry import LAWS


def scattered(name: str, rows: int) -> LossTable:
    """Runs anywhere between ten million and ten billion parameters, one to 100 epochs."""
    law = LAWS[name]
    assert isinstance(law, Law)
    rng = np.random.default_rng(0)
    n, unique = 10 ** rng.uniform(7, 10, rows), 10 ** rng.uniform(8, 11, rows)
    d = unique * 10 ** rng.uniform(0, 2, rows)
    loss = law.predict(TRUTH[name], Rows.of(n, d, unique))
    return noisy_table(n, d, unique, loss, 0.01, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large table; 0: none")
    arguments = parser.parse_args()
    cases = [("chinchilla", 240), ("data_constrained", 182), ("isoflop", 180)]
    cases += [("quokka", 192)]
    if arguments.rows:
        cases.append(("chinchilla", arguments.rows))
    print(f"{'law':18} {'rows':>9} {'seconds':>8}  intervals")
    for name, rows in cases:
        table = (
            design(name, 0.01, np.random.default_rng(0))
            if name in ("isoflop", "quokka")
            else scattered(name, rows)
        )
        began = time.perf_counter()
        (fit,) = fit_law(LAWS[name], table, FitOptions(resamples=1000))
        seconds = time.perf_counter() - began
        print(f"{name:18} {rows:9,} {seconds:8.1f}  {fit.ci_method}", flush=True)


if __name__ == "__main__":
    main()
