"""The best losses of all exports: at equal unique tokens, and at equal training FLOPs."""

from collections.abc import Sequence
from typing import Any

from workbench.analysis.table_rows import four_digits, interval_text
from workbench.figures.theme import measured, place_text, short
from workbench.messages import power_label
from workbench.recipe.objectives import display_name
from workbench.report.board.blocks import Block, Cell, Cells, Page, strip, table
from workbench.report.board.likeness import Number, differences_text, differing
from workbench.report.board.site import COMPUTE, DATA, Site


def data_page(site: Site) -> Page:
    """The best loss of each objective and export at equal unique tokens."""
    return _losses_page(
        site, site.losses, DATA, "Best losses at equal data",
        "The lowest held-out loss of each objective at equal unique tokens, whatever it cost.",
    )  # fmt: skip


def compute_page(site: Site) -> Page:
    """The best loss of each objective and export at equal training FLOPs."""
    return _losses_page(
        site, site.within, COMPUTE, "Best losses at equal compute",
        "The lowest held-out loss that was measured by so many training FLOPs, among runs that "
        "trained at least so far, whatever their data. A run that was planned for more has not let "
        "its learning rate decay by then: planned for this budget it may have become better.",
    )  # fmt: skip


def _losses_page(site: Site, numbers: list[Number], file: str, title: str, what: str) -> Page:
    name = "flops" if file == COMPUTE else "unique_tokens"
    by_evaluation: dict[tuple[str, ...], dict[float, list[Number]]] = {}
    for number in numbers:
        budget = number.rows["best"][name] or 0
        by_budget = by_evaluation.setdefault(number.question[:-1], {})
        by_budget.setdefault(budget, []).append(number)
    blocks: list[Block] = []
    first: Number | None = None
    for by_budget in by_evaluation.values():
        example = next(iter(by_budget.values()))[0]
        text = [_evaluated(example)]
        if first is not None:
            keys = [key for key in differing(example, first) if key in _of_evaluation(example)]
            text.append(
                "Not comparable with the losses above, which differ in "
                f"{differences_text(example, first, keys)}."
            )
        first = first or example
        blocks.append(Block(str(example.terms["metric"]), text=tuple(text)))
        for budget, own in sorted(by_budget.items()):
            columns, rows = table(_ranked(site, own))
            what_of = "training FLOPs" if file == COMPUTE else "unique tokens"
            words = power_label(budget) if file == COMPUTE else short(budget)
            heading = f"{words} {what_of}" if budget else f"{what_of} not known"
            blocks.append(Block(heading, level=3, columns=columns, rows=rows))
    lead = (
        what
        + " Of each export's configurations the best is shown, and of how many it is: the more "
        "there are, the more that flatters. A bound lies above the loss that it stands for.",
    )
    return Page(file, title, tuple(blocks), lead if blocks else ("No loss has been measured.",))


def _of_evaluation(number: Number) -> set[str]:
    return {name.partition(" ")[0] for name in number.question[1:-1]}


def _evaluated(number: Number) -> str:
    terms = number.terms
    known = [
        f"protocol {terms['protocol']}" if terms["protocol"] is not None else "imported",
        f"prepared tokens {str(terms['data_fingerprint'])[:24]}",
        f"windows of {terms['data.seq_len']} tokens" if terms.get("data.seq_len") else "",
    ]
    return f"Of one evaluation: {', '.join(filter(None, known))}."


def _ranked(site: Site, numbers: list[Number]) -> list[Cells]:
    """The best configuration of each export and objective, the lowest loss first."""
    sides: dict[tuple[str, str], list[Number]] = {}
    for number in numbers:
        sides.setdefault((number.export, str(number.rows["best"]["objective"])), []).append(number)
    # Two studies of an export may share runs: a configuration counts once.
    best = [
        (min(own, key=_mean), len({number.every_run for number in own})) for own in sides.values()
    ]
    best.sort(key=lambda pair: _mean(pair[0]))
    span = _span([number for number, _ in best])
    first = best[0][0]
    rows: list[Cells] = []
    for number, count in best:
        row = number.rows["best"]
        run = site.runs[number.export][number.runs[""][0]]
        keys = [key for key in differing(number, first) if key != "training.objective"]
        rows.append({
            "loss": site.number(number, four_digits(_mean(number))),
            "95 % interval": interval_text(row["best"]["ci95"]),
            " ": Cell("", strip=strip(_mean(number), row["best"]["ci95"], span)),
            "objective": display_name(str(row["objective"])) + _estimate(row["estimator"]),
            "export": number.export,
            "study": site.study((number.export, number.study)),
            "parameters": short(run.n_params),
            "unique tokens": short(row["unique_tokens"]) if "flops" in row else None,
            "planned for": place_text(run.total_tokens, "tokens") if run.total_tokens else None,
            "seeds": str(number.seeds),
            "best of": f"{count:,}",
            "the same runs": site.agreement(number),
            "differs from the first in": differences_text(number, first, keys) if keys else None,
        })  # fmt: skip
    return rows


def _estimate(estimator: str | None) -> str:
    """What a loss is, in few words: a bound is called a bound."""
    return measured(estimator).replace(", an upper bound of the NLL", ", a bound")


def loss_text(row: dict[str, Any]) -> str:
    """The best loss of a configuration with its interval."""
    best = row["best"]
    ends = interval_text(best["ci95"])
    return four_digits(best["mean"]) + (f" (95 %: {ends})" if ends else "")


def _mean(number: Number) -> float:
    return float(number.rows["best"]["best"]["mean"])


def _span(numbers: Sequence[Number]) -> tuple[float, float]:
    """A scale that has all means, and of wide intervals as much again on each side."""
    means = [_mean(number) for number in numbers]
    room = (max(means) - min(means)) or 0.02 * abs(means[0]) or 1.0
    ends = [
        end for one in numbers for end in one.rows["best"]["best"]["ci95"] or () if end is not None
    ]
    low, high = min([*means, *ends]), max([*means, *ends])
    return max(low, min(means) - room), min(high, max(means) + room) or 1.0
