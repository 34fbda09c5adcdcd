"""Rows of answers as table cells: signs before bounds, empty cells for what is not known."""

from collections.abc import Iterable, Sequence
from typing import Any

from workbench.messages import place_label, power_label

INTERVAL = "95 % interval"
"""How the names of columns with intervals begin."""


def place_text(value: float | None, axis: str, bound: str | None = None) -> str | None:
    """A place along an axis; "> ..." for a lower bound, "< ..." for an upper one."""
    if value is None:
        return None
    return {"lower": "> ", "upper": "< ", None: ""}[bound] + place_label(value, axis)


def places_text(interval: list[float | None] | None, axis: str) -> str | None:
    """Both ends of an interval of places, an end beyond the measured range in words."""
    if interval is None:
        return None
    low, high = (None if end is None else place_label(end, axis) for end in interval)
    if high is None:
        return "not bounded" if low is None else f"{low} to beyond the measured range"
    return f"before the measured range to {high}" if low is None else f"{low} to {high}"


def four_digits(value: float) -> str:
    """Four significant digits, written out up to a thousand million million."""
    rounded = float(f"{value:.4g}")
    return f"{rounded:,.0f}" if 1000 <= abs(rounded) < 1e15 else f"{rounded:.4g}"


def interval_text(interval: list[float | None] | None) -> str | None:
    """Both ends, "unbounded" where one is not known."""
    if interval is None:
        return None
    low, high = ("unbounded" if end is None else four_digits(end) for end in interval)
    return f"{low} to {high}"


def without_empty_intervals(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """A table without the columns of intervals that are empty in every row, as with one seed."""
    empty = {
        name
        for name in (rows[0] if rows else ())
        if name.startswith(INTERVAL) and all(row.get(name) is None for row in rows)
    }
    return tuple({name: value for name, value in row.items() if name not in empty} for row in rows)


def trend_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """The table cells of a trend of crossovers or of onsets along a key."""
    cells = {
        **row["group"],
        "against": row["against"],
        "crossed": row["n_crossed"],
        "bounds": row["n_censored"],
    }
    if "levels" in row:
        axis = row.get("axis", "epochs")  # of onsets
        cells["levels"] = "; ".join(_level(level, axis) for level in row["levels"])
    else:
        cells["exponent"] = row["exponent"]
        cells["95 % interval"] = interval_text(row["ci95"])
    return {**cells, "direction": row["direction"], "note": row["note"]}


def _level(level: dict[str, Any], axis: str) -> str:
    if level["crossover"] is not None:
        return f"{level['level']} {place_text(level['crossover'], axis)}"
    if level["lower_bound"] is not None:
        return f"{level['level']} {place_text(level['lower_bound'], axis, 'lower')}"
    return f"{level['level']} {place_text(level['upper_bound'], axis, 'upper') or 'undecided'}"


def effective_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """The table cells of what a challenger's unique tokens are worth."""
    bound = row["bound"]
    limit = {"lower": row["range"][1], "upper": row["range"][0], None: None}[bound]
    ratio_limit = row["ratio_lower_bound"] if bound == "lower" else row["ratio_upper_bound"]
    return {
        **row["group"],
        f"{row['at']} {row['metric']} of {row['challenger']}": row["value"],
        f"unique tokens {row['baseline']} needs": place_text(
            row["effective_unique_tokens"] if bound is None else limit, "unique_tokens", bound
        ),
        "ratio": place_text(row["ratio"] if bound is None else ratio_limit, "ratio", bound),
        "95 % interval": places_text(row["ci95"], "unique_tokens"),
    }


def best_value_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `best_values` as table cells."""
    costs = [one for one in row["values"] if one["value"] != row["best"]]
    return {
        "objective": row["objective"],
        **row["group"],
        "seeds": row["seeds"],
        f"best {row['key'].rpartition('.')[2]}": _value_text(row["best"]),
        "optimum": optimum_text(row),
        "95 % interval": interval_text(row["ci95"]),
        "ties": ", ".join(map(_value_text, row["ties"])) or None,
        "cost of others": "; ".join(
            f"{_value_text(one['value'])}: {four_digits(one['cost'])}" for one in costs
        ),
    }


def optimum_text(row: dict[str, Any]) -> str | None:
    """The vertex, or the bound of it: "> 0.016" where the greatest value is the best."""
    if row["bound"] is not None:
        sign = {"lower": ">", "upper": "<"}[row["bound"]]
        return f"{sign} {power_label(row[row['bound'] + '_bound'])} (edge)"
    return None if row["optimum"] is None else power_label(row["optimum"])


def _value_text(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return power_label(value) if is_number else str(value)


def onset_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """The table cells of the epoch of the lowest loss."""
    reached = row["status"] == "reached"
    return {
        **row["group"],
        "status": row["status"],
        "best at epoch": place_text(row["epochs"], "epochs")
        if reached
        else place_text(row["lower_bound"], "epochs", "lower"),
        "95 % interval": places_text(row["ci95"], "epochs"),
        "rise since": row["rise"],
    }


def flat_rows(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without nested values: a.b for what is inside of a, but for a group's keys, which keep
    their names; NAME_low and NAME_high for the ends of an interval; JSON for other lists."""
    return [dict(_cells(row)) for row in rows]


def _cells(row: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _cells(value, prefix if name in ("group", "varies") else f"{prefix}{name}.")
        elif _is_interval(prefix + name, value):
            low, high = (None, None) if value is None else value
            yield from ((f"{prefix}{name}_low", low), (f"{prefix}{name}_high", high))
        else:
            yield f"{prefix}{name}", value


def _is_interval(name: str, value: Any) -> bool:
    """Whether a cell has the ends of an interval, or lacks them: told by its name too."""
    if value is None:
        return any(part.endswith("ci95") for part in name.split("."))
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(end, (int, float, type(None))) for end in value)
        and ("ci95" in name or "range" in name)
    )


def effect_table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `effects` or `variants` as table cells."""
    if row["kind"] == "variant":
        changed = (f"{key.rpartition('.')[2]} {value}" for key, value in row["changed"].items())
        named: dict[str, Any] = {"configuration": ", ".join(changed)}
    else:
        named = {"factor": row["factor"], "from": row["reference"], "to": row["level"]}
    if row["kind"] == "interaction":
        named["factor"] += f" and {row['other']}"
        named["from"] = f"{row['reference']}, {row['other_reference']}"
        named["to"] = f"{row['level']}, {row['other_level']}"
    if row.get("moves_with"):
        named["factor"] += f" (with {', '.join(row['moves_with'])})"
    better = {None: "undecided", "level": "the change", "reference": "the reference"}[row["better"]]
    ratio, effect = row["flops_ratio"], row["effect"]
    of_pairs = None if effect is None else [row["lowest"], row["highest"]]
    return {
        **named,
        "pairs": row["pairs"],
        "seeds": row["seeds"],
        "FLOPs, times": None if ratio is None else f"{ratio:.3g}",
        f"effect on {row['at']} {row['metric']}": None if effect is None else four_digits(effect),
        "95 % interval": interval_text(row["ci95"]),
        "better": None if row["kind"] == "interaction" or row["ci95"] is None else better,
        "over the pairs": interval_text(of_pairs),
    }
