"""The command that shows results in a browser."""

import sys
from typing import Annotated

import typer

from workbench.cli.options import RESULTS, SourceOption
from workbench.cli.root import app


@app.command("app")
def app_(
    results: SourceOption = RESULTS,
    address: Annotated[
        str, typer.Option("--address", help="Where to listen; by default this computer alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Look at curves, crossovers and laws, live, in a browser."""
    from workbench.viewing.launch import LOCAL, start_app

    if address not in LOCAL:
        print(
            f"Note: everybody who reaches {address}:{port} can read all of {results}.",
            file=sys.stderr,
        )
    start_app(results, address, port, browser=browser)
