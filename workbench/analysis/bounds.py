"""What follows for a comparison of losses where one side's, or both, are upper bounds."""

from collections.abc import Sequence
from typing import Any, Literal

from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name

_OTHER = {"baseline": "challenger", "challenger": "baseline"}
_ORDER = {"baseline": "no earlier", "challenger": "no later"}
_RATIO = (
    "where a side's values are NELBOs, crossovers are bounds of those by NLLs: of the ratio by "
    "NLLs theirs says nothing sure"
)
_UNNAMED = {"baseline": "the reference", "challenger": "the change"}
Row = dict[str, Any]


def bounded_sides(row: Row) -> frozenset[str]:
    """Of "baseline" and "challenger", those whose losses are bounds by the row's "estimators"; none
    where the row's "metric" is no loss, or an estimator is not known."""
    if higher_is_better(row["metric"]) or not all(row["estimators"].values()):
        return frozenset()
    return frozenset(side for side, estimator in row["estimators"].items() if "nelbo" in estimator)


def bound_note(rows: Sequence[Row], of: Literal["crossover", "value"] = "crossover") -> str | None:
    """A note where bounds of likelihoods are compared, else None.

    Args:
        rows: as of `bounded_sides`; "baseline" and "challenger" name the sides where there are any.
        of: what the rows are.
    """
    by_sides: dict[frozenset[str], list[Row]] = {}
    for row in rows:
        by_sides.setdefault(bounded_sides(row), []).append(row)
    notes = []
    for side, other in _OTHER.items():
        if own := by_sides.get(frozenset({side})):
            bounded, exact = _name(own, side), _name(own, other)
            so = (
                f"the true crossover is {_ORDER[side]} than this one"
                if of == "crossover"
                else f"{bounded} is at least as good as shown here"
            )
            notes.append(
                f"{bounded}'s values come from NELBOs, upper bounds of what {exact}'s NLLs "
                f"measure: on losses, {so}"
            )
    if frozenset(_OTHER) in by_sides:
        notes.append(
            "both sides' values are NELBOs, upper bounds of their NLLs: which of the NLLs is lower "
            "does not follow from them"
        )
    return "; ".join(notes) + "." if notes else None


def effect_bound_notes(rows: Sequence[Row]) -> list[str]:
    """A note for each kind of effect that compares bounds, with the factors that it is about.

    Args:
        rows: as of `analysis.effects`; no more is said of two factors together, since the bounds of
            four configurations say nothing of their sum.
    """
    about: dict[str, list[str]] = {}
    for row in rows:
        if row["kind"] != "interaction" and (note := bound_note([row], "value")):
            about.setdefault(note, []).append(row["factor"] if row["kind"] == "main" else "")
    several = len({row.get("factor") for row in rows if row["kind"] == "main"}) > 1
    return [
        f"Note: {', '.join(dict.fromkeys(names))}: {note}" if several else f"Note: {note}"
        for note, names in about.items()
    ]


def ratio_bound_note(rows: Sequence[Row]) -> str | None:
    """A note where ratios of crossovers rest on bounds of likelihoods, else None."""
    return f"{_RATIO}." if any(bounded_sides(row) for row in rows) else None


def _name(rows: Sequence[Row], side: str) -> str:
    names = {row[side] for row in rows if isinstance(row.get(side), str)}
    if not any(row.get(side) for row in rows):
        return _UNNAMED[side]
    return display_name(names.pop()) if len(names) == 1 else f"the {side}"
