"""The command that shows results in a browser."""

from typing import Annotated

import typer

from workbench import stages
from workbench.cli.options import RESULTS, SourceOption
from workbench.cli.root import app


@app.command("app")
def app_(
    results: SourceOption = RESULTS,
    address: Annotated[
        str, typer.Option("--address", help="Where to listen; by default this computer alone.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=1,
            max=65535,
            help="The port; by default 8501, or the first free one after it.",
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    token: Annotated[
        bool,
        typer.Option(
            "--token/--no-token",
            help="Let in only who has the link with the token. Without one, every user of this "
            "computer can read the results: for a container of your own behind a proxy with a "
            "login.",
        ),
    ] = True,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="HOST[:PORT]",
            help="A proxy's name, as browsers show it, under which the app answers too; may be "
            "repeated.",
        ),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only", help="Let nobody write notes, tags, views and reports in the app."
        ),
    ] = False,
    embed_from: Annotated[
        list[str] | None,
        typer.Option(
            "--embed-from",
            metavar="ORIGIN",
            help="An origin, such as https://lab.example.org, whose pages may show the app in a "
            "frame; may be repeated.",
        ),
    ] = None,
) -> None:
    """Look at curves, crossovers and laws, live, in a browser."""
    from workbench.viewing.launch import rules_of, start_app

    rules = rules_of(
        address, token=token, allow_hosts=allow_host or (), embed_from=embed_from or ()
    )
    with stages.shown_elsewhere():
        start_app(results, address, port, rules, browser=browser, read_only=read_only)
