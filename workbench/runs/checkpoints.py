"""A run's checkpoints on disk: where those are that it goes on from, and the weights it keeps."""

from pathlib import Path

KEPT = "kept"
"""The folder of weights that are kept, beside the checkpoints that a run goes on from."""


def saved_steps(folder: Path) -> list[int]:
    """Steps with a complete checkpoint that a run can go on from, in order."""
    return list(_complete(folder))


def kept_checkpoints(folder: Path) -> dict[int, Path]:
    """The weights kept at chosen points (`training.checkpoint_points`): folders by step."""
    return _complete(folder / KEPT)


def all_checkpoints(folder: Path) -> dict[int, Path]:
    """Every complete checkpoint's folder by step, in order: each holds the weights."""
    return dict(sorted((kept_checkpoints(folder) | _complete(folder)).items()))


def _complete(folder: Path) -> dict[int, Path]:
    found = {
        int(path.parent.name.removeprefix("step-")): path.parent
        for path in folder.glob("step-*/.metadata")
    }
    return dict(sorted(found.items()))
