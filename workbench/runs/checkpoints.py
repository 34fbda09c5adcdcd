"""A run's checkpoints on disk: where those are that it goes on from, and the weights it keeps."""

from pathlib import Path

KEPT = "kept"
"""The folder of weights that are kept, beside the checkpoints that a run goes on from."""


def saved_steps(folder: Path) -> list[int]:
    """Steps with a complete checkpoint that a run can go on from, in order."""
    return list(complete(folder))


def kept_checkpoints(folder: Path) -> dict[int, Path]:
    """The weights kept at chosen points (`training.checkpoint_points`): folders by step."""
    return complete(folder / KEPT)


def all_checkpoints(folder: Path) -> dict[int, Path]:
    """Every complete checkpoint's folder by step, in order: each holds the weights."""
    return dict(sorted((kept_checkpoints(folder) | complete(folder)).items()))


def complete(folder: Path) -> dict[int, Path]:
    """The folders of complete checkpoints by step, in order. Links are none, nor what is in one."""
    if folder.is_symlink():
        return {}
    found = {
        int(number): path.parent
        for path in folder.glob("step-*/.metadata")
        if (number := path.parent.name.removeprefix("step-")).isdecimal()
        and not path.parent.is_symlink()
        and not path.is_symlink()
    }
    return dict(sorted(found.items()))
