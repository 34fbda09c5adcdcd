"""What a rehearsal counts, as plain numbers: it crosses from one process to another as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

GROUPS = (
    "products",
    "attention",
    "norms, RoPE, SwiGLU, residuals",
    "loss of the logits",
    "copies of weights",
    "communication",
    "AdamW, clipping, noise",
)
"""What kernels are grouped by, and what the columns of an estimate are called."""
PRODUCTS, ATTENTION, LAYERS, LOSS, WEIGHTS, COMMUNICATION, REST = GROUPS


@dataclass
class Work:
    """What some kernels do."""

    kernels: int = 0
    bytes: float = 0.0
    """Read from and written to the GPU's memory, each operation by itself."""
    flops: float = 0.0
    causal_flops: float = 0.0
    """Of `flops`, those of causal attention, whose upper half no kernel computes."""
    masked_flops: float = 0.0
    """Of `flops`, those of attention that reads a mask of numbers."""

    def add(self, other: "Work") -> None:
        self.kernels += other.kernels
        self.bytes += other.bytes
        self.flops += other.flops
        self.causal_flops += other.causal_flops
        self.masked_flops += other.masked_flops


@dataclass(frozen=True)
class Copy:
    """Copies of one place between the host and the GPU."""

    direction: str
    """"host to device" or "device to host"."""
    place: str
    """File and line of the workbench or of TorchTitan."""
    pinned: bool
    blocking: bool
    """Whether the host waits: it was not asked not to, or the memory is not pinned."""
    count: int = 1
    bytes: int = 0


@dataclass(frozen=True)
class Place:
    """Something that happens at one place of the code, and how often."""

    what: str
    place: str
    count: int = 1


@dataclass
class Phase:
    """What one part of a run did: a step, an evaluation, a task."""

    name: str
    groups: dict[str, Work] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    syncs: list[Place] = field(default_factory=list)
    """Where the host waits for the GPU."""
    float64: list[Place] = field(default_factory=list)
    masks: list[Place] = field(default_factory=list)
    """Attention masks of another type than the queries: "float32 mask, bfloat16 queries"."""
    from_data: list[Place] = field(default_factory=list)
    """Shapes that depend on numbers; the largest they can have is taken."""
    peak_bytes: int = 0
    """The most bytes of tensors at once, those of the model and its optimizer included."""
    peak_place: str = ""
    """Where in the product's code that was."""
    error: str | None = None
    """What stopped it, where it did not come to its end."""
    where: str | None = None
    """The file and line of the product that `error` comes from."""
    seconds: float = 0.0
    """What the rehearsal of it took on the host: nothing that a GPU would need."""

    @property
    def work(self) -> Work:
        """All groups together."""
        total = Work()
        for work in self.groups.values():
            total.add(work)
        return total

    @property
    def host_copies(self) -> int:
        return sum(copy.count for copy in self.copies)

    @property
    def blocking_copies(self) -> int:
        """Copies that the host waits for."""
        return sum(copy.count for copy in self.copies if copy.blocking)

    @property
    def waits(self) -> int:
        """Times that the host waits for the GPU, blocking copies aside."""
        return sum(sync.count for sync in self.syncs)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Back from `dataclasses.asdict`."""
        lists: dict[str, type] = {
            "copies": Copy, "syncs": Place, "float64": Place, "masks": Place, "from_data": Place
        }  # fmt: skip
        values = dict(document)
        values["groups"] = {name: Work(**work) for name, work in values["groups"].items()}
        for name, kind in lists.items():
            values[name] = [kind(**one) for one in values[name]]
        return cls(**values)


@dataclass
class Rehearsal:
    """One run on imagined GPUs."""

    layers: int
    compiled: bool
    world_size: int
    held_bytes: int
    """What a rank holds between two steps."""
    phases: list[Phase]
    left_out: list[str]
    """What was not rehearsed, each with its reason."""

    def phase(self, name: str) -> Phase:
        """The phase of that name."""
        return next(phase for phase in self.phases if phase.name == name)

    @property
    def errors(self) -> list[Phase]:
        """The phases that did not come to their end."""
        return [phase for phase in self.phases if phase.error is not None]

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        phases = [Phase.from_json(phase) for phase in document["phases"]]
        return cls(**{**document, "phases": phases})


TRAIN, TRAIN_LOGGED, FIRST = "train step", "train step that logs", "first train step"
VALIDATION, SAMPLING, CHECKPOINT = "validation", "sampling", "checkpoint"
TRAINING = (FIRST, TRAIN, TRAIN_LOGGED)
"""Names of phases. Tasks have their own: "task cloze"."""
