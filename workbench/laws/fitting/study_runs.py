"""The runs that a table is made of: of one study or of several, and what is known of each."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.analysis.curves import Curve, chosen, load_curves, run_values
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.store import query


def source_name(studies: Sequence[str]) -> str:
    """Where a table's rows are from, for messages."""
    return f"{'studies' if len(studies) > 1 else 'study'} {', '.join(studies)}"


def curves_of(
    results: Path, studies: Sequence[str], metric: str, where: Conditions
) -> tuple[list[Curve], dict[str, str]]:
    """The curves of studies that meet the conditions, each run once, and each run's study.

    Raises:
        InputError: as `study_table`.
    """
    of_study: dict[str, str] = {}
    curves: list[Curve] = []
    for study in studies:
        for curve in chosen(load_curves(results, study, metric), where).curves:
            if of_study.setdefault(curve.run_id, study) == study and not curve.ensemble:
                curves.append(curve)
    if not curves:
        raise InputError(f"{source_name(studies)}: there are ensembles alone, which no law is of.")
    _require_one_protocol(source_name(studies), curves)
    _require_one_estimator(studies, curves, of_study)
    return curves, of_study


def _require_one_protocol(source: str, curves: list[Curve]) -> None:
    protocols = sorted({curve.protocol for curve in curves if curve.protocol is not None})
    if len(protocols) > 1:
        raise InputError(
            f"{source}: its runs were evaluated by protocols "
            f"{' and '.join(map(str, protocols))}, whose losses are not comparable. Choose with "
            f"--where 'protocol = {protocols[-1]}', or run the recipe again: runs of an older "
            "protocol then leave the study."
        )


def _require_one_estimator(
    studies: Sequence[str], curves: list[Curve], of_study: dict[str, str]
) -> None:
    """That studies fitted together measured an objective's loss in one way."""
    found: dict[str, dict[str, set[str]]] = {}
    for curve in curves:
        by_study = found.setdefault(str(curve.columns.get("objective")), {})
        by_study.setdefault(of_study[curve.run_id], set()).add(str(curve.estimator))
    for objective, by_study in found.items():
        if len(set(map(frozenset, by_study.values()))) > 1:
            each = "; ".join(f"{name} by {', '.join(sorted(e))}" for name, e in by_study.items())
            raise InputError(
                f"{source_name(studies)}: losses of {objective} were measured in different ways "
                f"({each}) and are not comparable. Fit the studies one by one."
            )


def trunk_roots(results: Path) -> dict[str, str]:
    """Of each run that went on from another run's checkpoint, the run where that training began."""
    frame = query(
        results,
        """SELECT run_id, provenance->>'$.shared_trunk.run_id' AS source FROM runs
           WHERE provenance->>'$.shared_trunk.run_id' IS NOT NULL""",
    )
    source = dict(zip(frame["run_id"], frame["source"], strict=True))
    roots = {}
    for run_id in source:
        root, seen = run_id, {run_id}
        while (before := source.get(root)) is not None and before not in seen:
            root = before
            seen.add(root)
        roots[run_id] = root
    return roots


def run_columns(
    results: Path, curves: list[Curve], of_study: dict[str, str], run: NDArray[np.intp]
) -> dict[str, NDArray[np.object_]]:
    """The store's columns of each row's run, the keys in which the runs differ, and the run's
    study, estimator and trunk.

    Args:
        run: the place of each row's run among the curves.
    """
    roots = trunk_roots(results)
    runs = [
        {
            **run_values(curve),
            "study": of_study[curve.run_id],
            "estimator": curve.estimator,
            "trunk": roots.get(curve.run_id, curve.run_id),
        }
        for curve in curves
    ]
    columns = {}
    for name in {name: None for values in runs for name in values}:
        column = np.empty(len(runs), dtype=object)  # whose elements may be lists
        column[:] = [values.get(name) for values in runs]
        if "." not in name or len(set(map(str, column))) > 1:
            columns[name] = column[run]
    return columns


def notes_on_several(
    curves: list[Curve], studies: Sequence[str], of_study: dict[str, str]
) -> Iterable[str]:
    """Notes on a table of several studies; none on one."""
    if len(studies) < 2:
        return
    counts = {study: list(of_study.values()).count(study) for study in studies}
    yield "runs of each study: " + ", ".join(f"{name} {count}" for name, count in counts.items())
    texts = {str(curve.columns.get("data_fingerprint")) for curve in curves if not curve.imported}
    if len(texts) > 1:
        yield f"the studies' runs are on {len(texts)} texts, whose losses may differ by themselves"
