"""Fits for the page of scaling laws: with a progress bar, and cached."""

import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from workbench.analysis.curves import only_runs
from workbench.conditions import Conditions
from workbench.laws.fitting.fit import fit_law
from workbench.laws.fitting.options import STAGES
from workbench.laws.fitting.result import Fit
from workbench.laws.fitting.tournament import tournament
from workbench.laws.registry import LAWS
from workbench.laws.request import fit_options, get_law, get_table
from workbench.viewing.cached_store import Source

ALL = "all"
_MOST_FITS = 24


@dataclass(frozen=True)
class Wish:
    """What to fit, to which losses, and how: the options of `workbench fit`."""

    study: str
    metric: str
    at: str
    law: str
    fixed: str = ""
    joint: bool = False
    two_stage: bool = False
    starts: int = 64
    resamples: int = 200
    where: Conditions = ()

    def keywords(self) -> dict[str, Any]:
        """The same as keywords of `Study.fit`."""
        fixed = {name: float(value) for name, value in _pairs(self.fixed).items()}
        return {
            "law": self.law, "metric": self.metric, "at": "last" if self.at == "final" else self.at,
            "where": [str(one) for one in self.where], "fixed": fixed, "joint": self.joint,
            "two_stage": self.two_stage, "starts": self.starts, "resamples": self.resamples,
        }  # fmt: skip

    def key(self, where: Source) -> str:
        return json.dumps([str(where.results), where.stamp, where.only, vars(self)], default=str)


@dataclass(frozen=True)
class Fitted:
    """Fits, and for each law that could not be fitted the reason."""

    fits: list[Fit]
    missing: list[str]


@st.cache_resource(show_spinner=False)
def _memory() -> OrderedDict[str, Fitted]:
    return OrderedDict()


def cached_fit(where: Source, wish: Wish) -> Fitted | None:
    """The same fit, if it was made since the store changed last; else None."""
    return _memory().get(wish.key(where))


def fit_now(where: Source, wish: Wish) -> Fitted:
    """Fit, with a progress bar meanwhile.

    Raises:
        WorkbenchError: as `workbench fit`.
    """
    fixed = _pairs(wish.fixed)
    with only_runs(where.only):
        table = get_table(
            None, wish.study, where.results, wish.metric, wish.at, {}, wish.law, wish.where
        )
    laws = len(LAWS) if wish.law == ALL else 1
    total = laws * (1 if wish.joint else max(1, len(table.objectives))) * len(STAGES)
    bar = st.progress(0.0, "starting")
    done = 0

    def progress(stage: str) -> None:
        nonlocal done
        bar.progress(min(done / total, 0.99), stage)
        done += 1

    options = fit_options(
        fixed, {}, None, joint=wish.joint, two_stage=wish.two_stage, starts=wish.starts,
        resamples=wish.resamples, seed=0,
    )  # fmt: skip
    options = replace(options, progress=progress)
    try:
        if wish.law == ALL:
            fitted = Fitted(*tournament(LAWS, table, options))
        else:
            fitted = Fitted(fit_law(get_law(wish.law), table, options), [])
    finally:
        bar.empty()
    memory = _memory()
    memory[wish.key(where)] = fitted
    while len(memory) > _MOST_FITS:
        memory.popitem(last=False)
    return fitted


def _pairs(text: str) -> dict[str, str]:
    from workbench.messages import pairs

    return pairs("Fixed parameters", [text] if text.strip() else None)


def steps(low: int, high: int, each: tuple[float, ...] = (1, 2, 5)) -> list[float]:
    """Round numbers over decades: the stops of a logarithmic slider."""
    values: list[Any] = [float(f"{step * 10.0**k:g}") for k in range(low, high) for step in each]
    return [*values, 10.0**high]
