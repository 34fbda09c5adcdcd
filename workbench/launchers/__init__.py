"""Launchers: how a run's worker is started. A new one is a module here and an entry below."""

from collections.abc import Callable

from workbench.launchers.local import LocalLauncher
from workbench.launchers.protocol import Ended, Launcher

LAUNCHERS: dict[str, Callable[..., Launcher]] = {"local": LocalLauncher}

__all__ = ["LAUNCHERS", "Ended", "Launcher", "LocalLauncher"]
