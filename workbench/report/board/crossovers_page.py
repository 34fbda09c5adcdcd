"""Where one objective overtakes another, of all exports: by what is asked, then by what agrees."""

from itertools import groupby

from workbench.analysis.run_keys import order_of
from workbench.figures.crossovers import verdict
from workbench.figures.theme import group_text
from workbench.metrics import higher_is_better
from workbench.recipe.objectives import display_name
from workbench.report.board.blocks import Block, Cells, Page, table
from workbench.report.board.likeness import ALIKE, Number, differences_text, nearest, side_by_side
from workbench.report.board.numbers import AXES
from workbench.report.board.site import CROSSOVERS, Site


def crossovers_page(site: Site) -> Page:
    """Where one objective overtakes another, by what is asked and then by what agrees."""
    blocks = []
    by_question: dict[tuple[str, ...], list[Number]] = {}
    for number in site.crossovers:
        by_question.setdefault(number.question, []).append(number)
    for question, numbers in sorted(by_question.items(), key=_order):
        _, metric, baseline, challenger = question
        title = f"{display_name(challenger)} against {display_name(baseline)}, by {metric}"
        groups = side_by_side(numbers)
        alike = [group for group in groups if len({one.export for one in group}) > 1]
        alone = [one for group in groups if group not in alike for one in group]
        text = () if alike else ("No two exports have this comparison with the same keys.",)
        many = len(site.exports) > 1
        columns, rows = table(_alike_rows(site, alike))
        blocks.append(Block(title, text=text if many else (), columns=columns, rows=rows))
        for place, own in groupby(alone, key=lambda one: (one.export, one.study)):
            members = sorted(own, key=lambda one: order_of(one.rows["tokens"]["group"]))
            columns, rows = table([_alone_row(site, one, numbers) for one in members])
            count = f"{len(members)} comparison" + "s" * (len(members) > 1)
            heading = f"{place[1]}, {place[0]}: {count}"
            blocks.append(Block(heading, columns=columns, rows=rows, folded=len(members) > 8,
                                level=3))  # fmt: skip
    lead = (ALIKE,) if blocks else ("No export has runs that are compared in pairs.",)
    return Page(CROSSOVERS, "Crossovers", tuple(blocks), lead)


def _order(question: tuple[tuple[str, ...], list[Number]]) -> tuple[bool, tuple[str, ...]]:
    """Losses first."""
    return higher_is_better(question[0][1]), question[0]


def _alike_rows(site: Site, groups: list[list[Number]]) -> list[Cells]:
    groups = sorted(groups, key=lambda group: order_of(group[0].rows["tokens"]["group"]))
    return [
        {
            "with": _shared_group(group),
            "export": one.export,
            "study": site.study((one.export, one.study)),
            **_places(site, one),
            "the same runs": site.agreement(one),
        }
        for group in groups
        for one in group
    ]


def _shared_group(numbers: list[Number]) -> str:
    """What numbers of equal terms have in common, by the keys that each of their studies names."""
    groups = [number.rows["tokens"]["group"] for number in numbers]
    return group_text(groups[0], [key for key in groups[0] if all(key in one for one in groups)])


def _alone_row(site: Site, number: Number, numbers: list[Number]) -> Cells:
    close = nearest(number, numbers)
    why = None
    if close is not None:
        other, keys = close
        where = f"{other.study}, {other.export}"
        why = f"nearest: {where}, differs in {differences_text(number, other, keys)}"
    return {
        "with": group_text(number.rows["tokens"]["group"]),
        **_places(site, number),
        "the same runs": site.agreement(number),
        "side by side with none": why,
    }


def _places(site: Site, number: Number) -> Cells:
    cells: Cells = {
        f"along {'training FLOPs' if axis == 'flops' else 'training tokens'}": (
            site.number(number, verdict(number.rows[axis])) if axis in number.rows else None
        )
        for axis in AXES
    }
    return cells | {"seeds": str(number.seeds)}
