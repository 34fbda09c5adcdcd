"""Launchers: how a run's worker is started. A new one is a module here and an entry below."""

from collections.abc import Callable

from workbench.launchers.local import LocalLauncher
from workbench.launchers.protocol import Ended, Launcher
from workbench.launchers.slurm.steps import StepLauncher

LAUNCHERS: dict[str, Callable[..., Launcher]] = {"local": LocalLauncher, "slurm": StepLauncher}
"""By what starts workers on a machine that is ours: slurm within an allocation."""

__all__ = ["LAUNCHERS", "Ended", "Launcher", "LocalLauncher", "StepLauncher"]
