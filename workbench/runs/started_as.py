"""What a run was started as: the device, the dtype and whether it is compiled.

A recipe may leave all three to the machine ("auto"). What they became at a run's first start is
written into its `provenance.json`, and holds for as long as the run goes on: a curve that changed
its arithmetic on the way would be that of no run.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.runs.checkpoints import saved_steps
from workbench.runs.files import write_json
from workbench.runs.folder import RunFolder

_KEY = "started_as"


@dataclass(frozen=True)
class StartedAs:
    """What the keys `device`, `dtype` and `compile` of `[training]` became."""

    device: str
    """"cpu" or "cuda"."""
    dtype: str
    compile: bool
    why_eager: str | None = None
    """Why a run is not compiled that would be, had the machine what that takes."""

    def __str__(self) -> str:
        how = "compiled" if self.compile else "eager"
        return f"{self.device} {self.dtype} {how}" + (f" ({self.why_eager})" * bool(self.why_eager))


def started_as(provenance: Mapping[str, Any], *, compiled: bool = False) -> StartedAs | None:
    """What a run's provenance says that it was started as, or None for one that was not yet.

    Args:
        compiled: whether its recipe asks for compiled code. Runs of before there was a choice
            recorded no more than where they trained, last on the last of the list.
    """
    recorded = provenance.get(_KEY)
    if recorded is not None:
        return StartedAs(**recorded)
    trained_on = provenance.get("trained_on")
    if not trained_on:
        return None
    device = "cpu" if trained_on[-1]["device"] == "cpu" else "cuda"
    return StartedAs(device, trained_on[-1]["dtype"], compiled)


def as_provenance(started: StartedAs | None) -> dict[str, Any]:
    """The part of a `provenance.json` that `started_as` reads; empty for None."""
    return {} if started is None else {_KEY: asdict(started)}


def note_started_as(run: RunFolder, started: StartedAs) -> None:
    """Record in `provenance.json` what a run starts as; only its lock's holder may call this."""
    document = run.provenance_json()
    if document.get(_KEY) != asdict(started):
        write_json(run.provenance_path, document | as_provenance(started))


def has_numbers(run: RunFolder) -> bool:
    """Whether a run has numbers or a checkpoint, that what it was started as holds for."""
    records = run.records_path
    return (records.exists() and records.stat().st_size > 0) or bool(
        saved_steps(run.checkpoint_dir)
    )
