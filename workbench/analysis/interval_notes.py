"""What stands under a table of answers: what intervals run over, and which runs are left out."""

import re
from collections.abc import Iterable
from typing import Any

_DEGREES = re.compile(r", (infinitely many|[\d.]+) degrees? of freedom$")
_DEFINITIONS = {
    "band": "Crossover: where the lead, smoothed along training, leaves zero for good (band).",
    "point": "Crossover: from where on the challenger is better at every point (point).",
    "best_so_far": "Crossover: from where on the challenger is better than the best that the "
    "baseline has been until then (best_so_far).",
}


def notes_of(rows: Iterable[dict[str, Any]]) -> list[str]:
    """What intervals run over, what they lack, and which runs were left out, a line each.

    Args:
        rows: with "ci95_method", "ci95_note" and, where runs can be left out, "unfinished".
    """
    rows = list(rows)
    methods = [row["ci95_method"] for row in rows if row.get("ci95_method")]
    notes = dict.fromkeys(row["ci95_note"] for row in rows if row.get("ci95_note"))
    lines = [f"Intervals: {'; '.join(_together(methods))}."] if methods else []
    lines += [f"Note: {note}." for note in notes]
    return lines + unfinished_notes(rows)


def unfinished_notes(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Which runs have not finished, in a line, or no line."""
    unfinished = dict.fromkeys(run for row in rows for run in row.get("unfinished", ()))
    if not unfinished:
        return []
    named = ", ".join(unfinished)
    return [f"Note: unfinished runs, left out where there are finished ones: {named}."]


def definition_notes(rows: Iterable[dict[str, Any]]) -> list[str]:
    """What counts as a crossover in a table, a line for each definition."""
    return [_DEFINITIONS[name] for name in dict.fromkeys(row["definition"] for row in rows)]


def _together(methods: list[str]) -> list[str]:
    """Methods without repeats: those that differ in their degrees of freedom alone are one."""
    degrees: dict[str, list[str]] = {}
    for method in methods:
        found = _DEGREES.search(method)
        own = degrees.setdefault(method[: found.start()] if found else method, [])
        if found:
            own.append(found[1])
    return [f"{method}{_range(own)}" for method, own in degrees.items()]


def _range(degrees: list[str]) -> str:
    if not degrees:
        return ""
    ordered = sorted(set(degrees), key=lambda text: float(text) if text[0].isdigit() else 1e99)
    text = ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
    return f", {text} degree{'s' * (text != '1')} of freedom"
