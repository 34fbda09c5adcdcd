"""What became of the runs of one `run`."""

from dataclasses import dataclass, field

from workbench.messages import duration


@dataclass
class RunReport:
    """What became of a study's runs, by id."""

    study: str
    finished: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every run is finished."""
        return not (
            self.failed or self.diverged or self.cancelled or self.interrupted or self.waiting
        )

    def add(self, run_id: str, state: str) -> None:
        """Note a run's final state: finished, failed, diverged, cancelled or interrupted."""
        ids: list[str] = getattr(self, state)
        ids.append(run_id)

    def summary(self) -> str:
        """Return the counts as one sentence."""
        counts = counted(
            ("finished", self.finished),
            ("already finished", self.skipped),
            ("failed", self.failed),
            ("diverged", self.diverged),
            ("cancelled", self.cancelled),
            ("interrupted", self.interrupted),
            ("not started", self.waiting),
        )
        return f"{self.study}: {counts} in {duration(self.seconds)}."


def counted(*groups: tuple[str, list[str]]) -> str:
    """How many runs there are of each kind, for people."""
    return ", ".join(f"{len(ids)} {name}" for name, ids in groups if ids) or "no runs"
