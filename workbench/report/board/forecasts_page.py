"""Forecasts of all exports, scored by what came true."""

from typing import Any

from workbench.analysis.forecast_scores import calibration
from workbench.analysis.table_rows import four_digits
from workbench.figures.theme import place_text, short
from workbench.recipe.objectives import display_name
from workbench.report.board.blocks import Block, Cells, Page, table
from workbench.report.board.site import FORECASTS, Place, Site


def forecasts_page(site: Site) -> Page:
    """How forecasts came out, study by study, and each forecast beside what came true."""
    summary: list[Cells] = []
    blocks = []
    for place, scores in site.scores.items():
        for row in calibration(scores.rows):
            low, high = row["coverage_ci95"]
            error = row["mean_abs_log"]
            summary.append({
                "export": place[0],
                "study": site.study(place),
                "forecasts of": "losses" if row["kind"] == "run" else "crossovers",
                "from": row["source"],
                "scored": str(row["n"]),
                "mean error": None if error is None else f"{100 * error:.3g} %",
                "inside their 95 % intervals": f"{row['coverage']:.0%} ({low:.0%} to {high:.0%})",
            })  # fmt: skip
        left = tuple(f"Not scored: {n}, {why}." for why, n in scores.left_out.items())
        columns, rows = table([_forecast(site, place, row) for row in scores.rows])
        heading = f"{place[1]}, {place[0]}: {len(scores.rows)} scored"
        blocks.append(Block(heading, text=left, columns=columns, rows=rows, folded=True))
    columns, rows = table(summary)
    lead = (
        "Only forecasts that were made before there was a record of what they are of are scored.",
    )
    head = Block("How they came out", columns=columns, rows=rows) if summary else None
    none = ("No export has a forecast.",)
    return Page(FORECASTS, "Forecasts", tuple(filter(None, (head, *blocks))),
                lead if site.scores else none)  # fmt: skip


def _forecast(site: Site, place: Place, row: dict[str, Any]) -> Cells:
    loss = row["kind"] == "run"

    def text(value: object) -> str | None:
        if value is None:
            return None
        number = float(str(value))
        return four_digits(number) if loss else place_text(number, "tokens")

    low, high = text(row["low"]), text(row["high"])
    bound = {"not_reached": "later than ", "ahead_throughout": "before "}.get(
        str(row.get("status")), ""
    )
    came = bound + (text(row["measured"]) or "")
    run_id = str(row["run_id"])
    known = loss and run_id in site.members[place]
    return {
        "forecast of": str(row["metric"]) if loss else "a crossover",
        "objective": display_name(str(row["objective"])),
        "parameters": short(row["n_params"]),
        "unique tokens": short(row["unique_tokens"]),
        "expected": text(row["expected"]),
        "95 % interval": f"{low or 'open'} to {high or 'open'}",
        "came true": site.run(place, run_id, came) if known else site.study(place, came),
        "inside": "yes" if row["inside"] else "no",
        "from": str(row["source"]),
    }
