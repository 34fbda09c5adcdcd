"""The table of runs: what each is, what it has reached, and the runs of a group as one row."""

import json
from collections.abc import Sequence
from functools import partial
from math import inf
from statistics import fmean
from typing import Any

from workbench.analysis.curves import run_keys, run_rows
from workbench.analysis.pairing import compared_pairs, seed_pairs
from workbench.analysis.tidy import runs_frame
from workbench.errors import InputError
from workbench.metrics import higher_is_better
from workbench.viewing.cached_store import Source, ask, cached, loader, metrics, runs

SECONDS = "trained for (s)"
_FIRST = ("run_id", "study", "seed", "objective", "best", "last", "state")
_LAST = ("state", "best", "last", SECONDS, "error", "total_tokens", "epochs", "train_flops")
_HIDDEN = ("best_tokens", "last_step", "last_tokens", "best_step")
_UNREADABLE = ("config", "provenance", "data_fingerprint")


def run_table(where: Source, studies: Sequence[str], metric: str | None) -> list[dict[str, Any]]:
    """One row a run: "run_id", "study" (several, where several have it), seed, objective, every
    key that differs within its study, state, "best" and "last" of a metric, the seconds that it
    trained for, evaluations left out, and why it failed."""
    rows: dict[str, dict[str, Any]] = {}
    for study in studies:
        of_study = partial(_of_study, where, study, metric)
        for row in cached(where, of_study, "table of runs", study, metric):
            known = rows.get(row["run_id"], {})
            names = f"{known['study']}, {study}" if known else study
            rows[row["run_id"]] = row | known | {"study": names}
    first = [name for row in rows.values() for name in row if name not in _LAST]
    several = len(studies) > 1
    columns = [
        name for name in (*dict.fromkeys(first), *_LAST)
        if (several or name != "study") and any(row.get(name) is not None for row in rows.values())
    ]  # fmt: skip
    return [{name: row.get(name) for name in columns} for row in rows.values()]


def shown_columns(table: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as they are shown: first what each run is, its values, state and duration, then the
    keys that differ among these rows, those that most of them have first; no others."""
    first = [*_FIRST, SECONDS, "error"]
    names = [name for name in first if any(row.get(name) is not None for row in table)]
    counts = {
        name: sum(row.get(name) is not None for row in table)
        for name in (table[0] if table else ())
        if name not in first and len({json.dumps(row.get(name), default=str) for row in table}) > 1
    }
    names += sorted(counts, key=lambda name: -counts[name])
    return [{name: row.get(name) for name in names} for row in table]


def best_first(table: Sequence[dict[str, Any]], metric: str | None) -> list[dict[str, Any]]:
    """The rows from the best of their best values of a metric on; those without one last."""
    sign = -1 if metric is not None and higher_is_better(metric) else 1
    return sorted(table, key=lambda row: inf if row.get("best") is None else sign * row["best"])


def _of_study(where: Source, study: str, metric: str | None) -> list[dict[str, Any]]:
    measured = metric is not None and metric in metrics(where, study)
    loaded = loader(where)(where.results, study, metric) if measured and metric else None
    frame = runs_frame(run_rows(where.results, study), loaded)
    seconds = _training_seconds(where)
    errors = {str(row["run_id"]): row["error"] for row in runs(where, study)}
    return [
        {"run_id": row.pop("run_id"), "study": study}
        | {name: value for name, value in row.items() if name not in _HIDDEN}
        | {SECONDS: seconds.get(run_id), "error": errors.get(run_id)}
        for row in frame.to_dicts()
        for run_id in (row["run_id"],)
    ]


def _training_seconds(where: Source) -> dict[str, float]:
    """Of each run, the seconds of its training steps, over all attempts, from its speeds."""
    frame = ask(
        where,
        """SELECT run_id, sum(fresh / value) AS seconds FROM (
               SELECT run_id, value, tokens - lag(tokens, 1, 0)
                      OVER (PARTITION BY run_id ORDER BY tokens) AS fresh
               FROM metrics WHERE metric = 'tokens_per_second' AND value > 0)
           GROUP BY run_id""",
    )
    return dict(zip(frame["run_id"].to_list(), frame["seconds"].to_list(), strict=True))


def conditions_rows(where: Source, table: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each row can be chosen by: its columns, those of the store's runs, and dotted keys."""
    stored = {str(row["run_id"]): row for row in runs(where)}
    every = []
    for row in table:
        run = stored[row["run_id"]]
        plain = {name: value for name, value in run.items() if name not in _UNREADABLE}
        every.append({**run_keys(run), **plain, **row})
    return every


def grouped(table: Sequence[dict[str, Any]], key: str) -> list[list[dict[str, Any]]]:
    """The rows of each value of a column, in the order in which values come."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in table:
        groups.setdefault(json.dumps(row.get(key), default=str), []).append(row)
    return list(groups.values())


def group_rows(
    key: str, groups: Sequence[Sequence[dict[str, Any]]], metric: str | None
) -> list[dict[str, Any]]:
    """Each group of runs as one row: how many, how many are finished, the best of their best
    values, the means of the best and of the last ones, and the seconds that they trained for."""
    better = max if metric is not None and higher_is_better(metric) else min
    rows = []
    for members in groups:
        best, last, seconds = (_known(members, name) for name in ("best", "last", SECONDS))
        row = {
            key: members[0].get(key),
            "runs": len(members),
            "finished": sum(row["state"] == "finished" for row in members),
        }
        row |= {"best": better(best), "mean of best": fmean(best)} if best else {}
        row |= {"mean of last": fmean(last)} if last else {}
        rows.append(row | ({SECONDS: sum(seconds)} if seconds else {}))
    return rows


def _known(rows: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if row.get(name) is not None]


def matched_pair(where: Source, study: str, metric: str) -> list[str]:
    """The ids of two runs that a study compares: of one seed, and alike in all keys but those that
    are compared. Nothing where there are none."""
    try:
        _, pairs = compared_pairs(loader(where)(where.results, study, metric))
    except InputError:
        return []
    matched = [found for pair in pairs[:1] for found in seed_pairs(pair)]
    first = min(matched, key=lambda found: str(found[0].seed), default=())
    return [curve.run_id for curve in first]
