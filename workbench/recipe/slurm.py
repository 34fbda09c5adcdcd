"""`[launcher]`: where a study's runs are started. No part of a run's identity."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from workbench.recipe.types import PATTERNS, Count, Table, Text

# Options that the launcher sets itself: a second word on them would break what it relies on.
OURS = (
    "array", "chdir", "comment", "dependency", "error", "export", "hold", "job-name", "nodes",
    "ntasks", "ntasks-per-node", "open-mode", "output", "parsable", "requeue", "no-requeue",
    "signal", "test-only", "wait", "wrap",
)  # fmt: skip

Word = Annotated[str, Field(pattern=PATTERNS["slurm"])]


class SlurmConfig(Table):
    """`[launcher.slurm]`: what runs ask of the cluster. What is absent is the cluster's choice."""

    partition: Word | None = Field(None, description="Partition that jobs are submitted to.")
    account: Word | None = Field(None, description="Account that jobs are charged to.")
    qos: Word | None = Field(None, description="Quality of service of the jobs.")
    constraint: Word | None = Field(None, description="Features that nodes must have.")
    time: Annotated[str, Field(pattern=PATTERNS["time"])] | None = Field(
        None, description="Limit of one task: minutes, hours:minutes:seconds, days-hours."
    )
    nodes: Count | None = Field(
        None, description="Nodes a run. Default: what its ranks need at gpus_per_node, else 1."
    )
    ranks: Count | None = Field(
        None, description="Ranks a run trains on from now on. Default: those of [parallelism]."
    )
    gpus_per_node: Count | None = Field(None, description="GPUs asked for on each node.")
    gpu_type: Word | None = Field(None, description="As the cluster calls it, such as h100.")
    cpus_per_node: Count | None = Field(
        None, description="Default: the threads of the ranks that train at once on a node."
    )
    memory: Annotated[str, Field(pattern=PATTERNS["memory"])] | None = Field(
        None, description="Of a node, such as 16G."
    )
    array_throttle: Count | None = Field(None, description="Tasks of an array at once.")
    runs_per_task: Count = Field(1, description="Small runs that share one allocation.")
    runs_at_once: Count | None = Field(
        None,
        description="Of a task's runs, how many train at a time. Default: as many as its GPUs "
        "hold at runs_per_gpu, or as the threads of cpus_per_node, else 1.",
    )
    runs_per_gpu: Count = Field(1, description="Runs of one rank that train on a GPU at a time.")
    warning: Count = Field(
        120, description="Seconds before the time limit at which runs write a checkpoint."
    )
    max_attempts: Count = Field(
        20, description="Starts of a run, and of a task, after which it is given up."
    )
    prologue: tuple[Text, ...] = Field(
        (), description="Shell lines before the runs, such as 'module load cuda'."
    )
    environment: dict[Annotated[str, Field(pattern=PATTERNS["variable"])], str] = Field(
        default_factory=dict, description="Variables set for the runs."
    )
    options: tuple[Annotated[str, Field(pattern=PATTERNS["option"])], ...] = Field(
        (), description="Further options of sbatch, such as '--exclusive'."
    )

    @field_validator("prologue", "options", mode="before")
    @classmethod
    def _list_of_lines(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("time", "memory", mode="before")
    @classmethod
    def _plain_number(cls, value: Any) -> Any:
        plain = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if plain else value

    @field_validator("prologue", mode="after")
    @classmethod
    def _one_line_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            if "\n" in line:
                raise ValueError("one shell line in each string")
            if line.lstrip().startswith("#SBATCH"):
                raise ValueError("shell lines; options of sbatch belong into the key options")
        return value

    @field_validator("options", mode="after")
    @classmethod
    def _not_ours(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for option in value:
            name = option[2:].partition("=")[0]
            # sbatch takes the beginning of a name for the name.
            ours = next((full for full in OURS if full.startswith(name)), None)
            if ours is not None:
                raise ValueError(f"no --{ours}, which the workbench sets itself")
        return value


class LocalConfig(Table):
    """`[launcher.local]`: runs on this machine."""

    runs_per_gpu: Count = Field(
        1, description="Runs of one rank that train on a GPU at a time. --jobs goes before it."
    )


class LauncherConfig(Table):
    """`[launcher]`: one table a launcher that has something to set."""

    local: LocalConfig = Field(LocalConfig(), description="Runs on this machine.")
    slurm: SlurmConfig = Field(SlurmConfig(), description="See docs/slurm.md.")
