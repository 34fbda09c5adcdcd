"""Which runs of a study are the same run for a while: trunks that are trained once.

Under warm-up, stable, decay, runs that differ in `total_tokens` alone have the same numbers, bit
for bit, up to the step at which the shorter one's learning rate begins to fall. The longer run goes
on from the shorter one's checkpoint of that step, so a grid of lengths costs its longest runs and
the decays of the others.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workbench.recipe import RunConfig, numbers_json

_AFTER_THE_TRUNK = {
    "training": (
        "total_tokens", "epochs", "decay_fraction", "decay", "min_lr_ratio", "warmup_steps",
    ),
    "evaluation": ("points", "every_tokens", "validation_draws_last"),
}  # fmt: skip
"""Keys that decide no number before the decay, or whose part before it `obstacles` compares."""


@dataclass(frozen=True)
class Source:
    """A run from whose checkpoint another one can go on."""

    run: str
    step: int


@dataclass(frozen=True)
class Trunks:
    """How the runs of a study share their beginnings, by names of runs."""

    sources: Mapping[str, tuple[Source, ...]]
    """From where each run can go on, the latest step first; none for the first of a trunk."""
    obstacles: Mapping[str, tuple[str, ...]]
    """Of runs that have a shorter counterpart and share nothing with it: the keys in the way."""

    def shared_steps(self, run: str) -> int:
        """Steps of a run that another one trains."""
        found = self.sources.get(run, ())
        return found[0].step if found else 0


def trunks(runs: Iterable[tuple[str, RunConfig, str]]) -> Trunks:
    """The trunks of runs given as (name, configuration, what distinguishes their text)."""
    groups: dict[str, list[tuple[str, RunConfig]]] = defaultdict(list)
    for name, config, text in runs:
        groups[f"{trunk_key(config)}\n{text}"].append((name, config))
    sources: dict[str, tuple[Source, ...]] = {}
    in_the_way: dict[str, tuple[str, ...]] = {}
    for group in groups.values():
        group.sort(key=lambda member: (member[1].trunk_steps, member[1].steps))
        for place, (name, config) in enumerate(group):
            # Equal configurations are one run, and nothing to go on from.
            earlier = [other for other in reversed(group[:place]) if other[1] != config]
            found = [other for other in earlier if not obstacles(other[1], config)]
            if found:
                sources[name] = tuple(Source(run, one.trunk_steps) for run, one in found)
            elif shorter := [one for _, one in earlier if one.steps < config.steps]:
                in_the_way[name] = tuple(obstacles(shorter[0], config))
    return Trunks(sources, in_the_way)


def trunk_key(config: RunConfig) -> str:
    """One text for runs that may share a trunk, given the same text to train on."""
    document = json.loads(numbers_json(config))
    for table, keys in _AFTER_THE_TRUNK.items():
        for key in keys:
            document[table].pop(key, None)
    return json.dumps(document, sort_keys=True)


def obstacles(shorter: RunConfig, longer: RunConfig) -> list[str]:
    """The keys that prevent a run from going on from another of the same `trunk_key`."""
    step = shorter.trunk_steps
    found = []
    if longer.data.anneal is not None:
        found.append("data.anneal")
    if shorter.training.warmup_steps != longer.training.warmup_steps:
        found.append("training.warmup_steps")
    if not 1 <= step <= longer.trunk_steps:
        found.append("training.decay_fraction")
    if _until(shorter.evaluation_steps, step) != _until(longer.evaluation_steps, step):
        found.append("evaluation.points")
    if set(_until(longer.kept_steps, step)) - set(shorter.kept_steps):
        found.append("training.checkpoint_points")
    return found


def _until(steps: Iterable[int], last: int) -> list[int]:
    return [step for step in steps if step <= last]
