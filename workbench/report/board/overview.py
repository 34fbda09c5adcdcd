"""The first page of a board, and the page of runs that several exports have."""

from collections import Counter
from collections.abc import Iterable

from workbench.report.board.blocks import Block, Cell, Cells, Page, cell, joined, table
from workbench.report.board.likeness import ALIKE
from workbench.report.board.reproduced import Reproduced
from workbench.report.board.site import INDEX, REPRODUCED, Site


def index_page(site: Site) -> Page:
    """The exports, and what each study found."""
    exports = []
    for export in site.exports:
        runs = list(site.runs[export.name].values())
        versions = [run.versions for run in runs]
        exports.append({
            "export": export.name,
            "studies": str(len(export.studies)),
            "runs": f"{len(runs):,}",
            "finished": f"{sum(run.state == 'finished' for run in runs):,}",
            "workbench": _several(one.get("workbench") for one in versions),
            "torch": _several(one.get("torch") for one in versions),
            "protocols": _several(run.protocol for run in runs),
            "prepared tokens": _several((run.fingerprint or "")[:12] for run in runs),
        })  # fmt: skip
    found: list[Cells] = [
        {
            "study": site.study(place),
            "export": place[0],
            "what it asks": str(row["question"] or ""),
            "what was found": site.answers[place].sentence,
        }
        for export in site.exports
        for row in export.studies
        for place in [(export.name, str(row["study"]))]
    ]
    found.sort(key=lambda row: (cell(row["study"]).text, str(row["export"])))
    columns, rows = table(exports)
    blocks = [Block("Exports", columns=columns, rows=rows)]
    if found:
        columns, rows = table(found)
        blocks.append(Block("What the studies found", columns=columns, rows=rows))
    lead = (
        "Each number leads to the runs that it was made from, with their seeds and versions, and "
        "to the recipe. " + ALIKE,
    )
    return Page(INDEX, "Board", tuple(blocks), lead)


def _several(values: Iterable[object]) -> str:
    """The different values, the most common first."""
    counts = Counter(str(value) for value in values if value)
    names = [name for name, _ in counts.most_common()]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def reproduced_page(site: Site) -> Page:
    """Runs that two exports have: one run twice, not two seeds."""
    studies: dict[tuple[str, str], str] = {}
    for place, ids in site.members.items():
        for run_id in ids:
            studies.setdefault((place[0], run_id), place[1])
    summary: list[Cells] = []
    unlike: list[Cells] = []
    pairs: dict[tuple[str, str, str], list[Reproduced]] = {}
    for one in site.shared:
        study = studies.get((one.exports[0], one.run_id), "")
        pairs.setdefault((*one.exports, study), []).append(one)
        if one.unequal:
            cells = [
                site.run(place, one.run_id, name)
                for name in one.exports
                if (place := (name, studies.get((name, one.run_id), ""))) in site.files
            ]
            unlike.append({
                "run": one.run_id,
                "in": Cell("", parts=joined(cells)),
                "what came of it": one.text,
            })  # fmt: skip
    for (first, second, study), shared in pairs.items():
        summary.append({
            "exports": f"{first} and {second}",
            "study": site.study((first, study)) if (first, study) in site.files else study,
            "runs of both": str(len(shared)),
            "equal in every value": str(sum(one.equal for one in shared)),
            "with a difference": str(sum(one.unequal for one in shared)),
        })  # fmt: skip
    lead = [
        "A run's id is a hash of its configuration and its data. Runs of one id in two exports are "
        "one run reproduced, and are not counted as two seeds."
    ]
    blocks = []
    if summary:
        columns, rows = table(summary)
        blocks.append(Block("Runs that two exports have", columns=columns, rows=rows))
    else:
        lead.append("No two exports have a run in common.")
    if unlike:
        columns, rows = table(unlike)
        blocks.append(Block("Runs that are not equal", columns=columns, rows=rows))
    return Page(REPRODUCED, "Reproduced runs", tuple(blocks), tuple(lead))
