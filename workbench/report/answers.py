"""What a study has found, in one sentence with its caveats: the first page of the app, the report,
`workbench answer` and `Study.answer` say the same words."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from workbench.analysis.bounds import bound_note
from workbench.analysis.crossover import crossovers
from workbench.analysis.difference import differences
from workbench.analysis.interval_notes import notes_of, unfinished_notes
from workbench.analysis.outcomes import outcomes
from workbench.analysis.run_keys import distinguishing_keys, identity
from workbench.arguments import public
from workbench.errors import InputError
from workbench.figures.crossovers import side_text, verdict
from workbench.figures.theme import group_text, place_text
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name
from workbench.report.evaluated import chosen_metrics
from workbench.report.sections import sentence
from workbench.store import query
from workbench.store.shipped import shipped_studies
from workbench.store.studies import study_head

FEW = 4
"""Comparisons that are named one by one; of more, how many came out how is counted."""
_OVERTAKES = "overtakes "


@public
@dataclass(frozen=True)
class StudyAnswer:
    """One study's answer."""

    study: str
    question: str
    metric: str | None
    """None where nothing has been evaluated yet."""
    sentence: str
    caveats: tuple[str, ...]
    """What bounds and intervals mean here, seeds, and which runs are not in it; a line each."""
    page: str
    """The page of the app that shows it: its name and what is chosen there."""
    command: str
    """What gives the table behind it."""

    def document(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        return {**asdict(self), "caveats": list(self.caveats)}

    def text(self, link: str, command: str) -> str:
        """The answer with its caveats, where it is shown, and the command that gives the same."""
        return "\n".join([self.sentence, *self.caveats, "", link, command])


def study_answer(results: Path, study: str, metric: str | None = None) -> StudyAnswer:
    """A study's answer by one metric, along training tokens.

    Where runs can be compared it says where the challenger overtakes; else which configuration is
    best.

    Args:
        metric: by default the held-out loss, or the first that was evaluated.

    Raises:
        InputError: no such study or metric.
    """
    question = study_head(results, study)["question"] or ""
    chosen = chosen_metrics(results, study, [metric] if metric else None)
    if not chosen:
        return _answer(results, study, question, None, "Nothing has been evaluated yet.", [])
    name = chosen[0]
    try:
        rows = crossovers(results, study, name, "tokens", intervals=False)
    except InputError:  # no two runs make a pair
        return _best(results, study, question, name)
    if len(rows) <= FEW:
        rows = crossovers(results, study, name, "tokens")
    text = sentence(f"By {name}, {crossover_sentence(rows, at_end(results, rows))}")
    return _answer(results, study, question, name, text, crossover_caveats(rows))


def place_options(results: Path) -> list[str]:
    """The options that name a results folder to a command; none where it is the usual one."""
    if results.resolve() == shipped_studies():
        return ["--from", "shipped"]
    return [] if results == Path("results") else ["--results", str(results)]


def newest_first(results: Path) -> list[str]:
    """The studies that the store has, those with the newest runs first.

    Raises:
        InputError: there is no store.
    """
    frame = query(
        results,
        """SELECT study,
                  max(coalesce(provenance->>'$.created', provenance->>'$.imported_at')) AS made
           FROM studies LEFT JOIN study_runs USING (study) LEFT JOIN runs USING (run_id)
           GROUP BY study ORDER BY made DESC NULLS LAST, study""",
    )
    return [str(study) for study in frame["study"]]


def crossover_sentence(
    rows: list[dict[str, Any]], ends: dict[str, dict[str, Any]] | None = None
) -> str:
    """Where the challenger overtakes, of every comparison or, if there are many, of all together.

    Args:
        rows: of `crossovers`, on one metric and axis.
        ends: the rows of `differences` by the identity of their groups, where they are known.
    """
    subject, other = (side_text(rows[0][side]) for side in ("challenger", "baseline"))
    if len(rows) > FEW:
        return f"{subject} {_counted(rows, other)}"
    varying = _varying(rows)
    parts: list[str] = []
    shown: list[str] = []
    for row in rows:
        end = (ends or {}).get(identity(row["group"]))
        part = _part(row, "" if parts else other, varying, end)
        again = bool(parts) and parts[-1].startswith(_OVERTAKES) and part.startswith(_OVERTAKES)
        parts.append(part)
        shown.append(part.removeprefix(_OVERTAKES) if again else part)
    return f"{subject} {'; '.join(shown)}"


def crossover_caveats(rows: list[dict[str, Any]]) -> list[str]:
    """Seeds, what intervals run over, which runs are not in it, and bounds; a line each."""
    seeds = sorted({row["seeds"] for row in rows})
    count = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    lines = [f"{count} seed{'s' if seeds[-1] > 1 else ''} of each configuration."]
    crossed = [row for row in rows if row["status"] == "crossed"]
    lines += notes_of(row for row in crossed if row["ci95_note"] != "not asked for")
    lines += unfinished_notes(rows)
    bound = bound_note(rows)
    return list(dict.fromkeys([*lines, *([sentence(bound)] if bound else [])]))


def _part(row: dict[str, Any], other: str, varying: list[str], end: dict[str, Any] | None) -> str:
    """What came out of one comparison, with a verb at its start.

    Args:
        other: the baseline's name; empty where the sentence has it already.
    """
    group = group_text(row["group"], varying)
    given = f" with {group}" if group else ""
    name, of = (f" {other}", f" of {other}") if other else ("", "")
    last, lead = place_text(row["last_x"], row["axis"]), _lead(row, end)
    if row["status"] == "crossed":
        return verdict(row).replace("overtakes at", f"overtakes{name} at") + given
    if row["status"] == "ahead_throughout":
        first = place_text(row["upper_bound"], row["axis"])
        return f"is ahead{of} from {first} on{given}, an upper bound"
    if row["status"] == "not_reached":
        far = "" if lead is None or lead[0] > 0 else f", and is behind by {lead[1]} there"
        return f"has not overtaken{name} by {last}{given}, a lower bound{far}"
    far = "" if lead is None else f", {'ahead' if lead[0] > 0 else 'behind'} by {lead[1]}"
    return f"may be ahead{of} or not at {last}{given}: undecided{far}"


def _lead(row: dict[str, Any], end: dict[str, Any] | None) -> tuple[float, str] | None:
    """How far the challenger is ahead at the end, above zero where it is; and how far in words."""
    if end is None:
        return None
    better = 1 if higher_is_better(row["metric"]) else -1
    lead = better * end["difference"]
    text = f"{abs(lead):.3g}"
    if end["ci95"]:
        sign = 1 if end["difference"] > 0 else -1
        low, high = sorted(sign * limit for limit in end["ci95"])
        text += f" (95 %: {low:.3g} to {high:.3g})"
    return lead, text


def _counted(rows: list[dict[str, Any]], other: str) -> str:
    by_status: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_status.setdefault(row["status"], []).append(row)
    crossed = by_status.get("crossed", [])
    parts = [f"overtakes {other} in {len(crossed)} of {len(rows)} comparisons"]
    if crossed:
        ends = [pick(row["crossover"] for row in crossed) for pick in (min, max)]
        low, high = (place_text(end, crossed[0]["axis"]) for end in ends)
        parts[0] += f", at {low.split()[0]} to {high}" if low != high else f", at {low}"
    for status, words in (
        ("not_reached", "it has not by the end of the runs, so it would be later"),
        ("undecided", "it may be ahead at the end or not: undecided"),
        ("ahead_throughout", "it is ahead from the first point compared, so it was earlier"),
    ):
        if own := by_status.get(status):
            parts.append(f"in {len(own)} {words}")
    return "; ".join(parts)


def _varying(rows: list[dict[str, Any]]) -> list[str]:
    """The keys that tell comparisons from each other; of a single one its unique tokens."""
    keys = distinguishing_keys([row["group"] for row in rows])
    return keys or [key for key in ("unique_tokens",) if rows[0]["group"].get(key)]


def at_end(results: Path, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The differences at the end by group, where some comparison asks for them."""
    if len(rows) > FEW or all(row["status"] in ("crossed", "ahead_throughout") for row in rows):
        return {}
    try:
        found = differences(results, rows[0]["study"], rows[0]["metric"])
    except InputError:
        return {}
    return {identity(row["group"]): row for row in found}


def _best(results: Path, study: str, question: str, metric: str) -> StudyAnswer:
    """The best configuration of a study whose runs are not compared in pairs."""
    higher = higher_is_better(metric)
    rows = sorted(
        outcomes(results, study, metric),
        key=lambda row: row["best"]["mean"] * (-1 if higher else 1),
    )
    first = rows[0]
    varying = _varying(rows)
    word = "Highest" if higher else "Lowest"
    many = f" of {len(rows)} configurations" if len(rows) > 1 else ""
    text = f"{word} {metric}{many}: {_value(first)}, by {_named(first, varying)}"
    caveats = [f"{first['seeds']} seed{'s' * (first['seeds'] > 1)}; each at its best point."]
    if len(rows) > 1:
        caveats.append(f"The next: {_value(rows[1])}, by {_named(rows[1], varying)}.")
    caveats += notes_of([{**first["best"], "unfinished": first["unfinished"]}])
    return _answer(results, study, question, metric, sentence(text), caveats, page="curves")


def _named(row: dict[str, Any], varying: list[str]) -> str:
    group = group_text(row["group"], varying)
    name = display_name(str(row["objective"]))
    return f"{name} with {group}" if group else name


def _value(row: dict[str, Any]) -> str:
    best = row["best"]
    text = f"{best['mean']:.4g}"
    if best["ci95"]:
        low, high = best["ci95"]
        text += f" (95 %: {low:.4g} to {high:.4g})"
    return text


def _answer(
    results: Path,
    study: str,
    question: str,
    metric: str | None,
    text: str,
    caveats: list[str],
    page: str = "crossover",
) -> StudyAnswer:
    chosen = {"study": study, **({"metric": metric} if metric else {})}
    command = ["workbench", "answer", study, *(("--metric", metric) if metric else ())]
    return StudyAnswer(
        study=study,
        question=question,
        metric=metric,
        sentence=text,
        caveats=tuple(dict.fromkeys(caveats)),
        page=f"{page if metric else 'runs'}?{urlencode(chosen)}",
        command=shlex.join([*command, *place_options(results)]),
    )
