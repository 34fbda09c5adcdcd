"""What is odd about a table of losses, checked before anything is fitted to it."""

import numpy as np

from workbench.errors import InputError
from workbench.laws.fitting.loss_table import LossTable
from workbench.laws.law import Law

POOR_R2 = 0.5
_SEEDS = ("seed", "data_seed")
_NAMED = 3  # findings of a kind that are spelt out; the rest are counted


def configurations(table: LossTable, *, shared: bool) -> int:
    """How many different sizes, tokens and unique tokens a table has.

    Args:
        shared: whether each objective has parameters of its own, so that equal ones of two count.
    """
    inputs = [table.n_params, table.total_tokens, table.rows.log_u]
    if shared and table.objective is not None:
        inputs.append(np.unique(table.objective, return_inverse=True)[1].astype(float))
    return len(np.unique(np.column_stack(inputs), axis=0))


def check_table(table: LossTable, *, needs: int, law: Law, shared: bool = False) -> list[str]:
    """What is odd about a table, as sentences.

    Args:
        needs: free parameters of the law.
        shared: see `configurations`.

    Raises:
        InputError: the table cannot determine the law.
    """
    if law.needs_unique and table.unique_tokens is None:
        raise InputError(
            f"{table.source}: no column unique_tokens, and {law.name} needs it. Give it with "
            "--column unique_tokens=theirs, or fit --law chinchilla."
        )
    distinct = configurations(table, shared=shared)
    if distinct <= needs:
        rows = "1 row" if len(table) == 1 else f"{len(table):,} rows"
        names = table.objectives
        who = f", {names[0]}" if len(names) == 1 and names[0] else ""
        raise InputError(
            f"{table.source}{who}: {rows} of {distinct} distinct configuration"
            f"{'' if distinct == 1 else 's'}: {law.name} has {needs} free parameters and needs "
            "more than that. Add runs, or fix parameters with --fixed."
        )
    if np.ptp(table.loss) == 0:
        raise InputError(
            f"{table.source}: every loss is {table.loss[0]:g}: there is nothing to fit."
        )
    return odd_rows(table, unique=law.needs_unique) if law.reads_runs else []


def odd_rows(table: LossTable, *, unique: bool) -> list[str]:
    """What is odd about rows, as sentences.

    Args:
        unique: whether the law reads unique tokens.
    """
    odd = [*_odd_budgets(table), *_same_losses(table), *_impossible(table)]
    return odd + _equal_inputs(table, unique)


def poor_fit(r2: float | None, what: str) -> list[str]:
    """That a law explains less than half of how losses differ, as a sentence."""
    if r2 is None or r2 >= POOR_R2:
        return []
    return [
        f"{what} R2 {r2:.2f}: most of how they differ is something else. Rows of several "
        "conditions? Choose those of one with --where."
    ]


def mixed_conditions(table: LossTable, *, unique: bool) -> list[str]:
    """The columns, seeds aside, in which rows of equal inputs differ: no law describes them all.

    Args:
        unique: whether the law reads unique tokens besides parameters and tokens.
    """
    return _differing(table, _of_equal_inputs(table, unique), _describing(table))


def _equal_inputs(table: LossTable, unique: bool) -> list[str]:
    """Rows of equal inputs whose losses differ for another reason than their seeds."""
    groups = _of_equal_inputs(table, unique)
    if not groups:
        return []
    mixed = mixed_conditions(table, unique=unique)
    if mixed:
        why = f"they differ in {', '.join(mixed[:_NAMED])}"
    elif _differing(table, groups, [name for name in _SEEDS if name in table.columns]):
        return []
    else:
        why = "repeats, or several conditions?"
    widest = max(groups, key=lambda group: np.ptp(np.log(table.loss[group])))
    losses = f"{table.loss[widest].min():.5g} to {table.loss[widest].max():.5g}"
    return [
        f"{sum(map(len, groups)):,} rows share parameters and tokens with another row of another "
        f"loss ({_names(table, widest)}: {losses}): {why}. --where chooses rows."
    ]


def _of_equal_inputs(table: LossTable, unique: bool) -> list[np.ndarray]:
    """Rows of the same parameters, tokens and, where `unique`, unique tokens, but other losses."""
    inputs = np.column_stack(
        [table.n_params, table.total_tokens, *([table.rows.log_u] if unique else [])]
    )
    place = np.unique(inputs, axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(place, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
    return [group for group in groups if len(group) > 1 and np.ptp(table.loss[group]) > 0]


def _differing(table: LossTable, groups: list[np.ndarray], names: list[str]) -> list[str]:
    """The columns that differ within some group of rows."""
    return [
        name
        for name in names
        if any(len({str(table.columns[name][row]) for row in group}) > 1 for group in groups)
    ]


def _describing(table: LossTable) -> list[str]:
    """The columns that say what a row is: a run's keys, or of a file those that are no names,
    seeds or measured numbers."""
    if table.run_ids:
        return [n for n in table.columns if "." in n and n.rpartition(".")[2] not in _SEEDS]
    measured = [list(map(str, own)) for own in (table.loss, table.compute, table.name)]
    return [
        name
        for name, values in table.columns.items()
        if name in ("unique_tokens", "objective")
        or (
            name not in _SEEDS
            and len(set(map(str, values))) < len(table)
            and list(map(str, values)) not in measured
        )
    ]


def _odd_budgets(table: LossTable) -> list[str]:
    if table.unique_tokens is None:
        return []
    rows = np.flatnonzero(table.unique_tokens > table.total_tokens)
    if not len(rows):
        return []
    return [
        f"unique tokens exceed total tokens in {len(rows):,} rows ({_names(table, rows)}): taken "
        "as trained on total_tokens distinct ones."
    ]


def _same_losses(table: LossTable) -> list[str]:
    """Rows of different configurations with one loss to the last digit: likely copied."""
    order = np.argsort(table.loss, kind="stable")
    loss = table.loss[order]
    starts = np.flatnonzero(np.r_[True, loss[1:] != loss[:-1]])
    groups = [part for part in np.split(order, starts[1:]) if len(part) > 1]
    if not groups:
        return []
    involved = sum(len(group) for group in groups)
    if involved > 0.1 * len(table) and len(groups) > _NAMED:
        return [
            f"{involved:,} of {len(table):,} rows share their loss to the last digit with another "
            f"row ({len(np.unique(loss)):,} distinct losses): read from a picture, or rounded?"
        ]
    findings = [
        f"the same loss {table.loss[group[0]]:.10g} in {_names(table, group)}: copied?"
        for group in groups[:_NAMED]
    ]
    if len(groups) > _NAMED:
        findings.append(f"and {len(groups) - _NAMED} more losses that occur more than once.")
    return findings


def _impossible(table: LossTable) -> list[str]:
    limit = 15.0  # nats: a uniform guess over three million tokens
    high = np.flatnonzero(table.loss > limit)
    low = np.flatnonzero(table.loss < 0.05)
    findings = []
    if len(high):
        findings.append(
            f"losses above {limit:g} nats a token: {_names(table, high)}: perplexities?"
        )
    if len(low):
        findings.append(f"losses below 0.05 nats a token: {_names(table, low)}: another unit?")
    small = np.flatnonzero(table.n_params < 100)
    if len(small):
        findings.append(
            f"models of fewer than 100 parameters: {_names(table, small)}: in millions?"
        )
    return findings


def outliers(table: LossTable, residuals: np.ndarray, threshold: float = 6.0) -> list[str]:
    """Rows whose residual is far outside the others', in robust standard deviations."""
    centre = np.median(residuals)
    spread = 1.4826 * np.median(np.abs(residuals - centre))
    if spread < 1e-9:
        return []
    far = np.flatnonzero(np.abs(residuals - centre) > threshold * spread)
    if not len(far):
        return []
    far = far[np.argsort(-np.abs(residuals[far]))]
    return [
        f"{len(far):,} row{'s' if len(far) > 1 else ''} more than {threshold:g} robust standard "
        f"deviations from the fit: {_names(table, far)}."
    ]


def _names(table: LossTable, rows: np.ndarray) -> str:
    names = ", ".join(str(table.name[i]) for i in rows[:_NAMED])
    return names + (f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else "")
