"""Launchers: how a run's worker is started. A new one is a module here."""

from workbench.launchers.local import LocalLauncher

__all__ = ["LocalLauncher"]
