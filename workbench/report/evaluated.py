"""Which metrics of a study a report covers."""

from pathlib import Path

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.metrics import METRICS, OLD_NAMES, base_name, higher_is_better
from workbench.store import query
from workbench.store.query import literal

# Metrics of training itself, and those of which neither more nor less is better.
_NOT_COMPARED = {
    "train_loss",
    "tokens_per_second",
    *(name for name, metric in METRICS.items() if metric.higher_is_better is None),
}


def evaluated_metrics(results: Path, study: str) -> list[str]:
    """The metrics of which the study has values."""
    frame = query(
        results,
        f"""SELECT DISTINCT metric FROM metrics JOIN study_runs USING (run_id)
            WHERE study = {literal(study)} AND value IS NOT NULL ORDER BY metric""",
    )
    return [str(name) for name in frame["metric"].to_list()]


def chosen_metrics(results: Path, study: str, wanted: list[str] | None) -> list[str]:
    """The metrics that a report covers: those wanted, or all that compare runs.

    Raises:
        InputError: the study lacks one of those wanted.
    """
    known = evaluated_metrics(results, study)
    wanted = [OLD_NAMES.get(metric, metric) for metric in wanted or []]
    for metric in wanted:
        if metric not in known:
            raise InputError(
                f"study {study} has no {metric}{suggestion(metric, known) or '.'} "
                f"Its metrics: {', '.join(known) or 'none yet'}."
            )
    if wanted:
        return list(dict.fromkeys(wanted))
    # Losses first, then accuracies; a loss in bits a byte repeats the one in nats a token.
    compared = [name for name in known if base_name(name) not in _NOT_COMPARED]
    compared = [name for name in compared if not name.endswith("_bpb")]
    return sorted(compared, key=lambda name: (higher_is_better(name), name != "val_loss", name))
