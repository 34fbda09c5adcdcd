"""Starting the app: Streamlit on a results folder, in the place of this process."""

import os
import sys
from pathlib import Path
from typing import NoReturn

LOCAL = ("127.0.0.1", "localhost", "::1")


def main_script() -> Path:
    """The app's entry: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parents[1]
    installed = package / "app"
    return (installed if installed.is_dir() else package.parent / "app") / "main.py"


def app_command(address: str, port: int, *, browser: bool) -> list[str]:
    """The command that serves the app."""
    options = {
        "server.address": address,
        "server.port": str(port),
        "server.headless": str(not browser).lower(),
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "type",
        "runner.magicEnabled": "false",
        "theme.light.primaryColor": "#3f6283",  # calm, and no objective's colour
        "theme.dark.primaryColor": "#7fa6cc",
    }
    command = [sys.executable, "-m", "workbench.viewing.serve", "run", str(main_script())]
    command += [part for name, value in options.items() for part in (f"--{name}", value)]
    if address in LOCAL:
        # Another site's page must not reach the server under its own host name (DNS rebinding).
        for host in LOCAL:
            command += ["--server.allowedHosts", host]
    return command


def start_app(results: Path, address: str, port: int, *, browser: bool) -> NoReturn:
    """Replace this process by the app's server, which then gets its signals."""
    environment = {**os.environ, "WORKBENCH_RESULTS": str(results.resolve())}
    command = app_command(address, port, browser=browser)
    os.execve(command[0], command, environment)
