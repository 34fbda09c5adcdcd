"""`workbench plan --rehearse`: the table, and what it says beside it."""

import sys
from typing import TYPE_CHECKING, Any

from workbench.cli.options import Format

if TYPE_CHECKING:
    from workbench.planning.plan import Plan


def rehearse(
    planned: "Plan", gpu: str, gpus: int | None, layers: int | None, fmt: str
) -> list[dict[str, Any]]:
    """Rehearse each kind of run of a plan, and show it where a table is asked for."""
    from workbench.cli.output import emit
    from workbench.planning.gpus import gpu_named
    from workbench.rehearsal.planned import rehearsal_table_row, rehearse_plan

    rows = rehearse_plan(planned, gpu_named(gpu), gpus=gpus, layers=layers)
    if fmt == Format.table:
        emit([rehearsal_table_row(row) for row in rows], fmt)
        for line in _notes(rows):
            print(line, file=sys.stderr)
    return rows


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "Rehearsed on fake tensors: memory, kernels, copies and syncs of a training step are "
        "counted, its time is an estimate for one H100 (docs/reliability.md)."
    ]
    if any(len(row["rehearsed_layers"]) > 1 for row in rows):
        lines.append("Fewer layers were rehearsed; numbers of all follow from two depths.")
    if any(row["compiled"] for row in rows):
        lines.append("Compiled: captured by AOTAutograd; which kernels are fused is an estimate.")
    left_out = {reason for row in rows for reason in row["not_rehearsed"]}
    lines += [f"Not rehearsed: {reason}" for reason in sorted(left_out)]
    errors = {f"{row['objective']}: {error}" for row in rows for error in row["errors"]}
    lines += [f"Fails: {error}" for error in sorted(errors)]
    return lines
