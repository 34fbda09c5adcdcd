"""Laws of best values as rows of a table, and what stands below them."""

from typing import Any

from workbench.analysis.table_rows import four_digits, interval_text
from workbench.messages import power_label, size_label


def law_table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Laws as table cells: one row a law, or one for each size that is predicted."""
    return [
        {
            "objective": row["objective"],
            **row["group"],
            "law": row["formula"] or "refused",
            "exponents": _exponents(row),
            "optima": row["n_optima"],
            "at an edge": row["n_bounds"],
            "transfer": "; ".join(map(_transfer_text, row["transfer"])) or None,
            **predicted,
        }
        for row in rows
        for predicted in [_predicted(row["key"], one) for one in row["predictions"]] or [{}]
    ]


def _exponents(row: dict[str, Any]) -> str | None:
    if row["exponents"] is None:
        return None
    return "; ".join(
        f"{name} {four_digits(value)} ({interval_text(row['ci95'][name])})"
        for name, value in row["exponents"].items()
    )


def _transfer_text(one: dict[str, Any]) -> str:
    moved = "?" if one["steps"] is None else f"{one['steps']:+.2g}"
    ends = f" ({interval_text(one['ci95'])})" if one["ci95"] else ""
    cost = f", costs {four_digits(one['cost'])}" if one["cost"] else ""
    return (
        f"{one['verdict']}: {moved} steps{ends} from {size_label(one['from'])} to "
        f"{size_label(one['to'])}{cost}"
    )


def _predicted(key: str, one: dict[str, Any]) -> dict[str, Any]:
    sizes = {name: value for name, value in one.items() if name in ("n_params", "total_tokens")}
    return {
        **{name: size_label(value) for name, value in sizes.items()},
        f"best {key.rpartition('.')[2]}": power_label(one["best"]),
        "95 % interval": interval_text(one["ci95"]),
        "extrapolation": "; ".join(f"{k}: {how}" for k, how in one["outside"].items()) or "no",
    }


def law_notes(rows: list[dict[str, Any]]) -> list[str]:
    """What stands below the table: methods of intervals, laws refused, sizes outside."""
    refused = {
        f"Note: no law of {row['objective']}{_of(row)}: {row['reason']}"
        for row in rows
        if row["reason"]
    }
    methods = dict.fromkeys(row["ci95_method"] for row in rows if row["ci95_method"])
    outside = any(one["outside"] for row in rows for one in row["predictions"])
    return [
        *(f"Intervals: {method}." for method in methods),
        *sorted(refused),
        *(["Note: sizes outside those fitted are extrapolated: no interval says how wrong the law "
           "itself is there."] if outside else []),
    ]  # fmt: skip


def _of(row: dict[str, Any]) -> str:
    named = ", ".join(f"{k.rpartition('.')[2]} {v}" for k, v in row["group"].items() if v)
    return f" ({named})" if named else ""
