"""The page of a study of one export: its answer and recipe, and what numbers were made from."""

import json
from typing import Any

from workbench.analysis.interval_notes import notes_of
from workbench.analysis.run_keys import ALWAYS_NAMED, distinguishing_keys
from workbench.errors import InputError
from workbench.figures import Figure, crossover_figure, curves_figure, map_figure
from workbench.figures.crossovers import verdict
from workbench.figures.theme import group_text, short
from workbench.messages import power_label, pretty
from workbench.recipe.objectives import display_name
from workbench.report.board.blocks import Block, Cell, Cells, Page, drawings, joined, table
from workbench.report.board.exports import Export
from workbench.report.board.likeness import Number
from workbench.report.board.losses_page import loss_text
from workbench.report.board.numbers import AXES
from workbench.report.board.runs import Run
from workbench.report.board.site import Place, Site
from workbench.report.evaluated import chosen_metrics
from workbench.report.sections import sentence
from workbench.store.publish import without_folders

_PANELS = 6
"""Comparisons that are drawn as curves; more become a map."""
_AXES = {"tokens": "tokens", "flops": "FLOPs"}
_KEYS = 5
"""Columns of keys in the table of runs."""


def study_page(site: Site, export: Export, row: dict[str, Any]) -> Page:
    """The page of a study.

    Args:
        row: the study as the export has it.
    """
    place = export.name, str(row["study"])
    answer = site.answers[place]
    runs = [site.runs[export.name][run] for run in site.members[place]]
    kinds = _kinds(runs)
    blocks = [
        _figure(site, export, place),
        _numbers(site, place, kinds),
        Block(
            "Recipe", anchor="recipe", pre=str(row["recipe"] or "").strip(),
            text=() if row["recipe"] else ("The export has no recipe of this study.",),
        ),
        _runs(site, place, runs, kinds),
        _versions(kinds),
    ]  # fmt: skip
    about = filter(None, (row["question"], row["source"]))
    lead = (f"Export: {export.name}.", *about, answer.sentence, *answer.caveats)
    return Page(site.files[place], place[1], tuple(filter(None, blocks)), lead)


def _figure(site: Site, export: Export, place: Place) -> Block | None:
    """The study's first metric: crossovers as curves or a map, or curves alone."""
    own = [one for one in site.crossovers if (one.export, one.study) == place]
    try:
        figure = _drawn(export, place[1], [number.rows["tokens"] for number in own])
    except InputError:
        return None
    return None if figure is None else Block("", figures=drawings(figure, 1))


def _drawn(export: Export, study: str, rows: list[dict[str, Any]]) -> Figure | None:
    metrics = chosen_metrics(export.folder, study, None)
    if not metrics:
        return None
    rows = [row for row in rows if row["metric"] == rows[0]["metric"]]
    if not rows:
        return curves_figure(export.folder, study, metrics[:1])
    if len(rows) > _PANELS:
        return map_figure(rows)
    return crossover_figure(export.folder, study, rows[0]["metric"], "tokens", rows)


def _numbers(site: Site, place: Place, kinds: dict[str, list[str]]) -> Block | None:
    """What each number that the board shows was made from, where links to it lead."""
    numbers = site.linked.get(place, [])
    rows = [_evidence(site, place, number, kinds) for number in numbers]
    columns, made = table(rows, [f"n{i + 1}" for i in range(len(rows))])
    return (
        Block("Numbers, and what they were made from", columns=columns, rows=made) if rows else None
    )


def _evidence(site: Site, place: Place, number: Number, kinds: dict[str, list[str]]) -> Cells:
    every = list(number.rows.values())
    found = "; ".join(
        loss_text(row) if name == "best" else verdict(row) for name, row in number.rows.items()
    )
    budget = every[0].get("flops") if "best" in number.rows else None
    notes = notes_of([{**row.get("best", row), "unfinished": row["unfinished"]} for row in every])
    if number.by_author:
        axes = " and ".join(f"training {_AXES[axis]}" for axis in AXES if axis in number.by_author)
        notes.append(f"along {axes} as the export has it, from values of single documents")
    return {
        "what": number.what + (f" by {power_label(budget)} training FLOPs" if budget else ""),
        "with": group_text(every[0]["group"]),
        "value": found,
        "runs (seeds of data and training)": Cell("", parts=tuple(_sides(site, place, number))),
        "versions": Cell("", parts=_versions_of(number, kinds)),
        "recipe": Cell("recipe", "#recipe"),
        "notes": " ".join(map(sentence, dict.fromkeys(notes))),
    }


def _sides(site: Site, place: Place, number: Number) -> list[Cell]:
    """The runs of each side as links, with their seeds."""
    parts: list[Cell] = []
    for side, ids in number.runs.items():
        parts.append(Cell(f"{'; ' if parts else ''}{side + ': ' if side else ''}"))
        for position, run_id in enumerate(ids):
            run = site.runs[place[0]][run_id]
            seeds = (
                f" ({pretty(run.data_seed)}, {pretty(run.seed)})" if run.seed is not None else ""
            )
            link = site.run(place, run_id) if run_id in site.members[place] else Cell(run_id)
            parts += [Cell(", " if position else ""), link, Cell(seeds)]
    return parts


def _kinds(runs: list[Run]) -> dict[str, list[str]]:
    """The runs of each kind of versions, by these as JSON."""
    kinds: dict[str, list[str]] = {}
    for run in runs:
        kinds.setdefault(json.dumps(run.versions, sort_keys=True), []).append(run.run_id)
    return kinds


def _versions_of(number: Number, kinds: dict[str, list[str]]) -> tuple[Cell, ...]:
    own = [
        Cell(f"v{place}", f"#v{place}")
        for place, ids in enumerate(kinds.values(), 1)
        if number.every_run & set(ids)
    ]
    return joined(own)


def _runs(site: Site, place: Place, runs: list[Run], kinds: dict[str, list[str]]) -> Block:
    named = [
        key for key in distinguishing_keys([run.keys for run in runs]) if key not in ALWAYS_NAMED
    ]
    kind_of = {run: number for number, ids in enumerate(kinds.values(), 1) for run in ids}
    shared: dict[str, list[str]] = {}
    for one in site.shared:
        if place[0] in one.exports:
            (other,) = [name for name in one.exports if name != place[0]]
            shared.setdefault(one.run_id, []).append(f"{other}: {one.text}")
    rows = [
        {
            "run": run.run_id,
            "objective": display_name(run.objective) if run.objective else None,
            "parameters": short(run.n_params),
            "unique tokens": short(run.unique_tokens),
            "planned tokens": short(run.total_tokens),
            **{key: _key(run.keys.get(key)) for key in named[:_KEYS]},
            "data seed": pretty(run.data_seed),
            "seed": pretty(run.seed),
            "state": run.state,
            "versions": Cell(f"v{kind_of[run.run_id]}", f"#v{kind_of[run.run_id]}"),
            "in other exports": "; ".join(shared.get(run.run_id, [])),
        }
        for run in runs
    ]
    columns, made = table(rows, [site.anchor(place, run.run_id) for run in runs])
    more = len(named) - _KEYS
    text = (f"They differ in {more} more keys, which the recipe has.",) if more > 0 else ()
    return Block("Runs", text=text or (() if runs else ("None.",)), columns=columns, rows=made)


def _key(value: Any) -> str:
    return without_folders(pretty(value))


def _versions(kinds: dict[str, list[str]]) -> Block | None:
    if not kinds:
        return None
    documents = [json.loads(kind) for kind in kinds]
    names = list(dict.fromkeys(name for document in documents for name in document))
    rows = [
        {
            "versions": f"v{place}",
            "runs": str(len(ids)),
            **{name: pretty(document.get(name)) for name in names},
        }
        for place, (document, ids) in enumerate(zip(documents, kinds.values(), strict=True), 1)
    ]
    columns, made = table(rows, [f"v{place}" for place in range(1, len(rows) + 1)])
    return Block("Versions, revisions and data", columns=columns, rows=made)
