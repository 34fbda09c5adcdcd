"""Where diffusion overtakes AR, and stays ahead: the crossovers of a study, with intervals."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from workbench import stages
from workbench.analysis.band import crossing_along_training
from workbench.analysis.crossed import Over
from workbench.analysis.crossing import Crossing, Definition, compare_curves, crossing_places
from workbench.analysis.curves import Loader, chosen, load_curves, require_axis
from workbench.analysis.document_curves import WITHOUT_ITEMS, Lead, lead_along
from workbench.analysis.pairing import (
    Pair,
    Side,
    compared_pairs,
    finished_runs,
    make_pairs,
    mean_curve,
    named_runs,
    seed_pairs,
)
from workbench.analysis.point_intervals import point_interval, seed_crossings
from workbench.analysis.table_rows import place_text, places_text
from workbench.conditions import Conditions
from workbench.errors import InputError
from workbench.messages import choose
from workbench.metrics import higher_is_better

__all__ = [
    "Crossing",
    "Definition",
    "Pair",
    "compare_curves",
    "crossing_places",
    "crossovers",
    "make_pairs",
    "mean_curve",
    "table_row",
]


_WITHOUT_BAND = f"{WITHOUT_ITEMS}: without a band, a lead by chance counts as one"


def crossovers(
    results: Path,
    study: str,
    metric: str,
    axis: str,
    baseline: Side | None = None,
    challenger: Side | None = None,
    *,
    definition: Definition | None = None,
    over: Over = "seeds+documents",
    intervals: bool = True,
    where: Conditions = (),
    load: Loader = load_curves,
) -> list[dict[str, Any]]:
    """Every group's crossover, one row each, with the keys that `--json` prints.

    Where both sides have finished runs, those alone are compared; "unfinished" lists the
    others.

    With the definition `band`, the mean lead over seeds is smoothed, and its band gives estimate,
    status and interval together (see `analysis.band`). With the others several seeds are averaged
    point by point; the interval is then the t interval over the seeds' own crossovers, where all of
    them crossed; without several seeds it is bootstrapped from each curve's scatter (see
    `analysis.intervals`).

    Args:
        axis: one of `curves.AXES`.
        definition: None for `band` where the runs' values are known document by document, and for
            `point` elsewhere, as for imported curves.
        over: what the interval of a band runs over.
        intervals: whether to work out intervals; if not, `ci95` and `share_crossed` are None.
        where: compare only the runs that meet these conditions.
        load: reads curves: from the store, or from a cache of it.

    Returns:
        "over" is what the interval or the band runs over, None where that is neither seeds nor
        documents; "over_asked" what was asked for. "crossover" is None unless "status" is crossed;
        "lower_bound" is the last place compared where it is not_reached, "upper_bound" the first
        one where it is ahead_throughout. The status undecided, of a band alone, says that the last
        point does not tell. A limit of "ci95" is None where it lies outside the measured range.
        "share_crossed" is the share of seeds, or of resamples, that crossed.

    Raises:
        InputError: no such study, metric or axis, runs without that axis, or no two runs make
            a pair.
    """
    choose("--over", over, get_args(Over))
    if definition is not None:
        choose("--definition", definition, get_args(Definition))
    loaded = chosen(load(results, study, metric), where)
    sides, pairs = compared_pairs(loaded, baseline, challenger)
    require_axis([curve for pair in pairs for curve in pair.baseline + pair.challenger], axis)
    question = _Question(results, metric, axis, definition, over, intervals)
    rows = []
    for number, pair in enumerate(pairs, 1):
        stages.doing(f"crossover of {metric}, pair {number} of {len(pairs)}")
        rows.append(
            {
                "study": study,
                "group": pair.group,
                "metric": metric,
                "axis": axis,
                "baseline": sides[0],
                "challenger": sides[1],
                **question.answer(pair),
            }
        )
    return rows


@dataclass(frozen=True)
class _Question:
    """What is asked of every pair."""

    results: Path
    metric: str
    axis: str
    definition: Definition | None
    over: Over
    intervals: bool

    def answer(self, pair: Pair) -> dict[str, Any]:
        compared, left_out = finished_runs(pair)
        lead = None
        if self.definition in (None, "band"):
            higher = higher_is_better(self.metric)
            lead = lead_along(self.results, compared, self.metric, self.axis, higher=higher)
        if self.definition is None and not (lead and lead.by_document and len(lead.x) > 1):
            lead = None
        by_band = lead is not None and len(lead.x) > 1
        definition: Definition = "band" if by_band else self.definition or "point"
        if definition == "band" and not by_band:
            raise _nothing_in_common(compared, self.axis)
        crossing = self._crossing(compared, "point" if by_band else definition)
        answer: dict[str, Any] = {
            "definition": definition,
            "over": None,
            "over_asked": self.over,
            "status": crossing.status,
            "crossover": crossing.crossover,
            "first_x": crossing.first_x,
            "last_x": crossing.last_x,
            "lower_bound": crossing.last_x if crossing.status == "not_reached" else None,
            "upper_bound": crossing.first_x if crossing.status == "ahead_throughout" else None,
        }
        if by_band:
            assert lead is not None
            answer |= self._of_band(lead, compared)
        else:
            answer |= point_interval(
                compared, self.metric, self.axis, crossing, definition, self.intervals, self.over
            )
            if self.definition is None and answer["ci95"] and not _imported(compared):
                # The same study may be undecided where its documents are known.
                answer["ci95_note"] = "; ".join(filter(None, (answer["ci95_note"], _WITHOUT_BAND)))
        return {
            **answer,
            "all_crossings": crossing.all_crossings,
            "first_crossing": crossing.first_crossing,
            "estimators": {
                "baseline": pair.baseline[0].estimator,
                "challenger": pair.challenger[0].estimator,
            },
            "seeds": len({curve.seed for curve in compared.baseline}),
            **named_runs(compared.baseline, compared.challenger),
            "unfinished": left_out,
            "imported": _imported(pair),
        }

    def _crossing(self, pair: Pair, definition: Definition) -> Crossing:
        crossing = compare_curves(
            *mean_curve(pair.baseline, self.axis),
            *mean_curve(pair.challenger, self.axis),
            higher_is_better=higher_is_better(self.metric),
            definition=definition,
        )
        if crossing is None:
            raise _nothing_in_common(pair, self.axis)
        return crossing

    def _of_band(self, lead: Lead, pair: Pair) -> dict[str, Any]:
        found = crossing_along_training(lead.x, lead.mean, self.over)
        notes = [note for note in (found.ci95_note, lead.note) if note]
        wanted = self.intervals
        return {
            "over": found.band.over,
            "status": found.status,
            "crossover": found.crossover,
            "first_x": found.first_x,
            "last_x": found.last_x,
            "lower_bound": found.lower_bound,
            "upper_bound": found.upper_bound,
            "ci95": found.ci95 if wanted else None,
            "ci95_method": found.ci95_method if wanted else None,
            "ci95_note": "; ".join(notes) or None if wanted else "not asked for",
            "share_crossed": _share_crossed(pair, self.metric, self.axis) if wanted else None,
        }


def _imported(pair: Pair) -> bool:
    return any(curve.imported for curve in pair.baseline + pair.challenger)


def _nothing_in_common(pair: Pair, axis: str) -> InputError:
    return InputError(
        f"runs {pair.baseline[0].run_id} and {pair.challenger[0].run_id} have no {axis} in "
        "common yet."
    )


def _share_crossed(pair: Pair, metric: str, axis: str) -> float | None:
    """The share of seeds whose own curves cross to stay."""
    crossings = seed_crossings(seed_pairs(pair), metric, axis, "point")
    crossed = [c is not None and c.crossover is not None for c in crossings]
    return sum(crossed) / len(crossed) if crossed else None


def table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One row of `crossovers` as table cells: "> " before a lower bound, "< " before an upper."""
    axis = row["axis"]
    reached = place_text(row["crossover"], axis)
    if row["status"] == "not_reached":
        reached = place_text(row["last_x"], axis, "lower")
    elif row["status"] == "ahead_throughout" and row.get("upper_bound") is not None:
        reached = place_text(row["upper_bound"], axis, "upper")
    elif row["status"] == "undecided" and row.get("lower_bound") is not None:
        reached = place_text(row["lower_bound"], axis, "lower")
    return {
        **row["group"],
        "status": row["status"],
        f"crossover ({axis})": reached,
        "95 % interval": places_text(row["ci95"], axis),
        "compared up to": place_text(row["last_x"], axis),
    }
